fn main() -> std::process::ExitCode {
    chassis::process::main::<notifications::Notifications>()
}
