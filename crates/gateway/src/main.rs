fn main() -> std::process::ExitCode {
    chassis::process::use_small_pages();
    chassis::process::main_without_database::<gateway::Gateway>()
}
