//! `clarion migrate`: a role and a schema for each service, and their migrations.

use anyhow::Context;
use chassis::migrate::{self, role};
use chassis::settings::Source;
use chassis::{Service, settings::Reader};
use common::auth::Service as Name;
use common::values::Secret;
use diesel_migrations::EmbeddedMigrations;
use url::Url;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A role that may make roles and schemas; `DATABASE_URL` when absent
    #[arg(long)]
    database_url: Option<String>,
}

/// A service that has a schema.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    pub(crate) service: Name,
    migrations: fn() -> EmbeddedMigrations,
}

/// Every service that has a schema.
pub(crate) const SCHEMAS: [Schema; 5] = [
    schema::<identity::Identity>(),
    schema::<leads::Leads>(),
    schema::<campaigns::Campaigns>(),
    schema::<notifications::Notifications>(),
    schema::<analytics::Analytics>(),
];

const fn schema<S: Service>() -> Schema {
    Schema {
        service: S::NAME,
        migrations: S::migrations,
    }
}

/// Reads `DATABASE_URL` and, for each service, `<SERVICE>_DATABASE_PASSWORD` (or `…_FILE`).
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut source = Source::from_process();
    if let Some(url) = args.database_url {
        source = source.with("DATABASE_URL", url);
    }
    let mut read = source.reader();
    let admin = read.secret("DATABASE_URL");
    let passwords = SCHEMAS.map(|schema| password(&mut read, schema.service));
    let (admin, passwords) = read.finish((admin, passwords))?;
    for (schema, password) in SCHEMAS.iter().zip(passwords) {
        apply(schema, &admin, &password)?;
        println!("{} is up to date", schema.service);
    }
    Ok(())
}

fn password(read: &mut Reader<'_>, service: Name) -> Secret {
    read.secret(&format!(
        "{}_DATABASE_PASSWORD",
        service.as_str().to_uppercase()
    ))
}

/// Makes role and schema with the admin's rights, then migrates with the service's own.
pub(crate) fn apply(schema: &Schema, admin: &Secret, password: &Secret) -> anyhow::Result<()> {
    migrate::prepare(admin, schema.service, password)?;
    let url = role_url(admin, schema.service, password)?;
    Ok(migrate::run(&url, schema.service, (schema.migrations)())?)
}

/// The same database, as a service's own role.
pub(crate) fn role_url(admin: &Secret, service: Name, password: &Secret) -> anyhow::Result<Secret> {
    let mut url = Url::parse(admin.expose()).context("DATABASE_URL is not a URL")?;
    let set = url
        .set_username(&role(service))
        .and_then(|()| url.set_password(Some(password.expose())));
    anyhow::ensure!(set.is_ok(), "DATABASE_URL cannot carry a user name");
    Ok(Secret::new(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_connects_as_its_own_role() {
        let admin = Secret::new("postgres://admin:secret@db:5432/clarion?sslmode=require");
        let url = role_url(&admin, Name::Leads, &Secret::new("p w")).expect("a URL");
        assert_eq!(
            url.expose(),
            "postgres://clarion_leads:p%20w@db:5432/clarion?sslmode=require"
        );
    }
}
