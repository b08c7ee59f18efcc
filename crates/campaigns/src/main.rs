//! The `campaigns` service as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::process::main::<campaigns::Campaigns>()
}
