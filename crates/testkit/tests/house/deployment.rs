//! The two compose files: what they name exists, and production is closed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::images::recipes;
use crate::variables::{VARIABLES, set_in};
use crate::workspace::{items, keys, read, root, services, texts, yaml};

const DEV: &str = "docker-compose.yml";
const PROD: &str = "docker-compose.prod.yml";

fn containers(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = compose["services"].as_object().into_iter().flatten();
    members.map(|(name, container)| (name.as_str(), container))
}

/// The recipe that a container's image is built by, if it is one of ours.
fn recipe_of<'a>(name: &'a str, container: &'a Value) -> Option<&'a str> {
    let built = container["build"]["dockerfile"].as_str();
    let image = container["image"].as_str().unwrap_or_default();
    let ours = image.starts_with("${CLARION_IMAGES").then(|| {
        let path = image.split("}/").nth(1).unwrap_or(name);
        path.split(':').next().unwrap_or(name)
    });
    built
        .and_then(|file| file.strip_prefix("Dockerfile."))
        .or(ours)
}

/// The names that a container's environment sets, `_FILE` included.
fn environment(container: &Value) -> BTreeSet<String> {
    let own = keys(&container["environment"])
        .into_iter()
        .map(str::to_owned);
    let files = texts(&container["env_file"]);
    own.chain(files.into_iter().flat_map(|file| set_in(file).0))
        .collect()
}

#[test]
fn every_service_is_in_both_files() {
    for file in [DEV, PROD] {
        let compose = yaml(file);
        for service in services() {
            let container = &compose["services"][&service];
            assert_eq!(
                recipe_of(&service, container),
                Some(service.as_str()),
                "{file}"
            );
        }
        assert_eq!(
            recipe_of("migrate", &compose["services"]["migrate"]),
            Some("clarion")
        );
    }
    let mailbox = &yaml(DEV)["services"]["mailbox"];
    assert_eq!(recipe_of("mailbox", mailbox), Some("mailbox"));
}

#[test]
fn what_a_compose_file_names_is_declared() {
    for file in [DEV, PROD] {
        let compose = yaml(file);
        for kind in ["networks", "secrets", "volumes"] {
            let declared: BTreeSet<_> = keys(&compose[kind]).into_iter().collect();
            let used: BTreeSet<_> = containers(&compose)
                .flat_map(|(_, container)| texts(&container[kind]))
                .filter_map(|entry| entry.split(':').next())
                .collect();
            assert_eq!(used, declared, "{kind} in {file}");
        }
        for (name, container) in containers(&compose) {
            for path in texts(&container["env_file"]) {
                assert!(root().join(path).is_file(), "{file}: {name} reads {path}");
            }
            if let Some(recipe) = recipe_of(name, container) {
                assert!(
                    recipes().contains(recipe),
                    "{file}: {name} is built by {recipe}"
                );
            }
        }
    }
}

#[test]
fn containers_wait_for_others_that_can_be_waited_for() {
    for file in [DEV, PROD] {
        let compose = yaml(file);
        for (name, container) in containers(&compose) {
            for (other, wait) in container["depends_on"].as_object().into_iter().flatten() {
                let target = &compose["services"][other];
                assert!(target.is_object(), "{file}: {name} waits for {other}");
                match wait["condition"].as_str() {
                    Some("service_healthy") => assert!(
                        target["healthcheck"].is_object() || recipe_of(other, target).is_some(),
                        "{file}: {other} has no health check"
                    ),
                    Some("service_completed_successfully") => {
                        let restart = target["restart"].as_str().unwrap_or("no");
                        assert_eq!(restart, "no", "{file}: {other} never completes");
                    }
                    other => panic!("{file}: {name} waits for {other:?}"),
                }
            }
        }
    }
}

#[test]
fn containers_are_given_what_they_read_and_nothing_else() {
    for file in [DEV, PROD] {
        let compose = yaml(file);
        for (name, container) in containers(&compose) {
            let Some(recipe) = recipe_of(name, container) else {
                continue;
            };
            let given = environment(container);
            for variable in &given {
                assert!(
                    VARIABLES.known.contains(variable),
                    "{file}: nobody reads {variable}"
                );
            }
            for needed in VARIABLES.needed.get(recipe).into_iter().flatten() {
                // The operator's tools need different things for different commands.
                assert!(
                    recipe == "clarion"
                        || given.contains(needed)
                        || given.contains(&format!("{needed}_FILE")),
                    "{file}: {name} does not start without {needed}"
                );
            }
        }
    }
}

#[test]
fn each_service_has_a_role_of_its_own() {
    let compose = yaml(DEV);
    let migrate = environment(&compose["services"]["migrate"]);
    for service in services() {
        let url = compose["services"][&service]["environment"]["DATABASE_URL"].as_str();
        let Some(url) = url else { continue };
        let upper = service.to_uppercase();
        assert!(
            url.starts_with(&format!("postgres://clarion_{service}:${{{upper}_")),
            "{url}"
        );
        assert!(
            migrate.contains(&format!("{upper}_DATABASE_PASSWORD")),
            "{service}"
        );
    }
}

#[test]
fn production_is_closed() {
    let compose = yaml(PROD);
    assert_eq!(compose["networks"]["inside"]["internal"], true);
    for (name, container) in containers(&compose) {
        assert!(
            container["build"].is_null(),
            "{name} is built in production"
        );
        let image = container["image"].as_str().unwrap_or_default();
        assert!(image.contains(":${"), "{name}: which version is {image}?");
        assert_eq!(container["read_only"], true, "{name}");
        assert_eq!(texts(&container["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            texts(&container["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        assert!(container["restart"].is_string(), "{name}");
        let limits = &container["deploy"]["resources"]["limits"];
        assert!(
            limits["cpus"].is_string() && limits["memory"].is_string(),
            "{name}"
        );
        assert!(texts(&container["networks"]).contains(&"inside"), "{name}");
        let published = items(&container["ports"]).count();
        assert_eq!(
            published,
            usize::from(name == "gateway"),
            "{name} publishes ports"
        );
    }
}

#[test]
fn production_takes_its_secrets_from_files() {
    let compose = yaml(PROD);
    for (name, container) in containers(&compose) {
        let mounted = texts(&container["secrets"]);
        for (variable, value) in container["environment"].as_object().into_iter().flatten() {
            let secret = VARIABLES.known.contains(&format!("{variable}_FILE"));
            assert!(
                !secret,
                "{name}: {variable} is a secret and stands in the file"
            );
            if let Some(file) = value.as_str().and_then(|v| v.strip_prefix("/run/secrets/")) {
                assert!(
                    mounted.contains(&file),
                    "{name} reads {file}, which is not mounted"
                );
            }
        }
    }
}

/// A folder with a copy of the scripts that make secrets.
fn installation() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let setup = folder.path().join("deploy/setup");
    std::fs::create_dir_all(&setup).expect("a new folder");
    for script in ["secrets.sh", "certificates.sh"] {
        let from = root().join("deploy/setup").join(script);
        std::fs::copy(from, setup.join(script)).expect("a new file");
    }
    folder
}

fn run(installation: &tempfile::TempDir, script: &str, argument: &str) {
    let script = installation.path().join("deploy/setup").join(script);
    let mut command = std::process::Command::new("sh");
    let output = command.arg(script).arg(argument).output();
    let output = output.expect("sh runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

#[test]
fn one_script_makes_every_secret() {
    let folder = installation();
    let run = || run(&folder, "secrets.sh", "smtp://mail.example:25");
    run();
    let compose = yaml(PROD);
    let contents = || -> Vec<String> {
        let declared = compose["secrets"].as_object().into_iter().flatten();
        declared
            .map(|(_, secret)| secret["file"].as_str().expect("secrets are files"))
            .map(|file| std::fs::read_to_string(folder.path().join(file)).expect(file))
            .collect()
    };
    let first = contents();
    let distinct: BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), first.len(), "every secret is another");
    run();
    assert_eq!(contents(), first, "what exists is kept");
}

#[test]
fn inside_of_production_everything_is_said_over_tls() {
    let compose = yaml(PROD);
    let settings = read("deploy/config/prod/clarion.env");
    assert!(settings.contains("\nCLARION_TLS_CA=/run/secrets/inside_ca\n"));
    for service in services() {
        let container = &compose["services"][&service];
        let mounted = texts(&container["secrets"]);
        assert!(mounted.contains(&"inside_ca"), "{service} believes nobody");
        if service == "gateway" {
            continue;
        }
        let upper = service.to_uppercase();
        let url = format!("\n{upper}_URL=https://{service}:");
        assert!(settings.contains(&url), "{service} is asked openly");
        for (setting, file) in [("CERTIFICATE", "certificate"), ("KEY", "key")] {
            let given = &container["environment"][format!("{upper}_TLS_{setting}")];
            let file = format!("/run/secrets/{service}_{file}");
            assert_eq!(given.as_str(), Some(file.as_str()), "{service}");
        }
    }
    // The authority's key makes certificates and is in no container.
    assert!(!read(PROD).contains("inside_ca.key"));
    let folder = installation();
    run(&folder, "secrets.sh", "smtp://mail.example:25");
    let secret = |name: &str| {
        let path = folder.path().join("deploy/secrets").join(name);
        std::fs::read_to_string(path).expect(name)
    };
    let checked = "?sslmode=verify-full&sslrootcert=/run/secrets/inside_ca\n";
    assert!(secret("admin_database_url").ends_with(checked));
    assert!(secret("leads_database_url").ends_with(checked));
    assert!(secret("redis_url").starts_with("rediss://"));
    assert!(secret("redis_config").contains("\nport 0\ntls-port 6379\n"));
}

/// Whether a server with `name`'s certificate is believed to be `asked`.
async fn is_believed(secrets: &std::path::Path, name: &str, asked: &str) -> bool {
    let file = |file: &str| secrets.join(file).display().to_string();
    let source = chassis::settings::Source::default()
        .with(
            "LEADS_TLS_CERTIFICATE",
            file(&format!("{name}_certificate")),
        )
        .with("LEADS_TLS_KEY", file(&format!("{name}_key")));
    let files = chassis::tls::Files::read(&mut source.reader(), common::auth::Service::Leads);
    let server = chassis::tls::Certificate::open(files.expect("both")).expect("a certificate");
    let server = server.server_inside().expect("a server");
    let client = chassis::tls::Authority::open(secrets.join("inside_ca")).expect("an authority");
    let client = client.client().expect("a client");
    let (here, there) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(asked.to_owned()).expect("a name");
    let accepting = TlsAcceptor::from(Arc::new(server)).accept(there);
    let connecting = TlsConnector::from(Arc::new(client)).connect(name, here);
    let (accepted, connected) = tokio::join!(accepting, connecting);
    assert_eq!(accepted.is_ok(), connected.is_ok());
    connected.is_ok()
}

#[tokio::test]
async fn certificates_are_made_for_every_server_and_renewed_before_they_run_out() {
    let folder = installation();
    let secrets = folder.path().join("deploy/secrets");
    run(&folder, "certificates.sh", "398");
    let names = [
        "identity",
        "campaigns",
        "leads",
        "notifications",
        "analytics",
    ];
    for name in names.into_iter().chain(["postgres", "redis"]) {
        assert!(is_believed(&secrets, name, name).await, "{name}");
    }
    assert!(!is_believed(&secrets, "leads", "identity").await);
    let shown = || {
        let file = |name: &str| std::fs::read(secrets.join(format!("{name}_certificate")));
        names.map(|name| file(name).expect(name))
    };
    let first = shown();
    run(&folder, "certificates.sh", "398");
    assert_eq!(shown(), first, "what holds is kept");
    // Another authority has signed nothing yet.
    std::fs::remove_file(secrets.join("inside_ca")).expect("it is there");
    run(&folder, "certificates.sh", "30");
    let second = shown();
    assert!(first.iter().all(|old| !second.contains(old)));
    // A month is too short: they are renewed at once.
    run(&folder, "certificates.sh", "398");
    assert!(shown().iter().all(|new| !second.contains(new)));
    assert!(is_believed(&secrets, "leads", "leads").await);
}

#[test]
fn the_example_of_a_dot_env_file_offers_what_compose_asks_for() {
    let asked = |file: &str| -> BTreeSet<String> {
        let text = read(file);
        let variables = text.split("${").skip(1);
        variables
            .map(|rest| rest.split([':', '}']).next().unwrap_or_default().to_owned())
            .collect()
    };
    let (set, offered) = set_in(".env.example");
    assert_eq!(set, asked(DEV), "{DEV}");
    let asked = asked(PROD);
    let unasked: Vec<_> = offered.difference(&asked).collect();
    assert!(unasked.is_empty(), "{PROD} does not ask for {unasked:?}");
}

#[test]
fn logs_can_leave_every_container_encrypted() {
    let (production, away) = (yaml(PROD), yaml("deploy/logs/compose.yml"));
    let sent: BTreeSet<_> = containers(&away).map(|(name, _)| name).collect();
    let all: BTreeSet<_> = containers(&production).map(|(name, _)| name).collect();
    assert_eq!(sent, all);
    for (name, container) in containers(&away) {
        let options = &container["logging"]["options"];
        let address = options["syslog-address"].as_str().unwrap_or_default();
        assert!(address.starts_with("tcp+tls://"), "{name}: {address}");
        assert!(options.get("syslog-tls-skip-verify").is_none(), "{name}");
    }
}
