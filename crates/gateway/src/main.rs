fn main() -> std::process::ExitCode {
    chassis::process::main_without_database::<gateway::Gateway>()
}
