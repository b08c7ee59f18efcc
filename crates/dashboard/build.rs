//! What is embedded is built by npm, which cargo does not watch by itself.

fn main() {
    println!("cargo:rerun-if-changed=app/dist");
}
