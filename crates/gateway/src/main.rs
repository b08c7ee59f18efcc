fn main() -> std::process::ExitCode {
    chassis::process::main::<gateway::Gateway>()
}
