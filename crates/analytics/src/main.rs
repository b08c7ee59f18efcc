fn main() -> std::process::ExitCode {
    chassis::process::main::<analytics::Analytics>()
}
