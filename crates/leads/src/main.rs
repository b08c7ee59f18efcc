//! The `leads` service as its own process.

fn main() -> std::process::ExitCode {
    chassis::process::main::<leads::Leads>()
}
