fn main() -> std::process::ExitCode {
    chassis::process::main::<identity::Identity>()
}
