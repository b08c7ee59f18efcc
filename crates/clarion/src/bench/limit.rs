//! What Postgres itself can do with the rows that the platform wrote: plain committed `COPY` into
//! a twin of their table.
//!
//! The rows are the platform's own, exported after it wrote them, so both sides write the same. The
//! server reads them from files, which spares it even the client; nothing that goes through HTTP
//! can be quicker. The twin has the same columns, constraints and indexes, and keeps the rows of
//! earlier rounds, as the platform's table does. Before each side, what the platform does by itself is
//! let end, and a checkpoint made: neither pays for the other's writes, nor for counting them.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::platform::Site;

/// How soon the platform has to come to rest when nothing is asked of it.
const REST: Duration = Duration::from_secs(120);
/// Between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// An empty copy of one of the platform's tables, and a folder that the server may write to.
#[derive(Debug, Clone)]
pub(super) struct Twin {
    url: String,
    folder: PathBuf,
    /// The table it is a twin of, with its schema.
    of: &'static str,
    name: String,
}

impl Twin {
    pub(super) async fn make(site: &Site, of: &'static str) -> anyhow::Result<Self> {
        let folder = site.folder.path().join(of);
        std::fs::create_dir(&folder)?;
        // The server may run as another user.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))?;
        let name = format!("bench.{}", of.replace('.', "_"));
        let twin = Self {
            url: site.postgres.url(),
            folder,
            of,
            name,
        };
        twin.run(Self::create).await?;
        Ok(twin)
    }

    /// Lets what is measured next begin with a calm server.
    pub(super) async fn calm(&self) -> anyhow::Result<()> {
        self.run(|_, conn| settle(conn)).await
    }

    /// How long `COPY` takes for the platform's rows `which`, in one piece.
    pub(super) async fn copy(&self, which: String) -> anyhow::Result<Duration> {
        self.run(move |twin, conn| {
            let file = twin.export(conn, &which)?;
            settle(conn)?;
            let began = Instant::now();
            twin.copy_file(conn, &file)?;
            let took = began.elapsed();
            std::fs::remove_file(file)?;
            Ok(took)
        })
        .await
    }

    /// The same in pieces of `rows`, each committed by itself, on several connections.
    pub(super) async fn copy_in_pieces(
        &self,
        which: String,
        rows: usize,
        connections: usize,
    ) -> anyhow::Result<Duration> {
        self.run(move |twin, conn| {
            let file = twin.export(conn, &which)?;
            let pieces = split(&file, rows)?;
            std::fs::remove_file(file)?;
            settle(conn)?;
            let took = twin.copy_at_once(&pieces, connections)?;
            pieces.iter().try_for_each(std::fs::remove_file)?;
            Ok(took)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self, &mut PgConnection) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let twin = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut conn = PgConnection::establish(&twin.url)?;
            work(&twin, &mut conn)
        });
        done.await?
            .with_context(|| format!("cannot measure COPY into a twin of {}", self.of))
    }

    /// Makes the twin, with the same partitions if the table has any.
    fn create(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let (of, name) = (self.of, &self.name);
        let partitions = partitions(conn, of)?;
        let how = if partitions.is_empty() {
            ""
        } else {
            "PARTITION BY RANGE (received_at)"
        };
        conn.batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS bench; CREATE TABLE {name} (LIKE {of} INCLUDING ALL) {how}"
        ))?;
        for Partition { name: part, bound } in partitions {
            conn.batch_execute(&format!(
                "CREATE TABLE bench.{part} PARTITION OF {name} {bound}"
            ))?;
        }
        Ok(())
    }

    fn export(&self, conn: &mut PgConnection, which: &str) -> anyhow::Result<PathBuf> {
        let file = self.folder.join("rows");
        let (of, path) = (self.of, quoted(&file)?);
        conn.batch_execute(&format!(
            "COPY (SELECT * FROM {of} WHERE {which}) TO {path}"
        ))?;
        Ok(file)
    }

    fn copy_file(&self, conn: &mut PgConnection, file: &Path) -> anyhow::Result<()> {
        let (name, path) = (&self.name, quoted(file)?);
        Ok(conn.batch_execute(&format!("COPY {name} FROM {path}"))?)
    }

    /// Every connection takes the next piece that nobody has taken; the time is that of the copies
    /// alone.
    fn copy_at_once(&self, pieces: &[PathBuf], connections: usize) -> anyhow::Result<Duration> {
        let open = |_| PgConnection::establish(&self.url);
        let connections: Vec<_> = (0..connections).map(open).collect::<Result<_, _>>()?;
        let (next, began) = (AtomicUsize::new(0), Instant::now());
        let work = |mut conn: PgConnection| {
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.copy_file(&mut conn, piece)?;
            }
            anyhow::Ok(())
        };
        std::thread::scope(|scope| {
            let started = connections
                .into_iter()
                .map(|conn| scope.spawn(|| work(conn)));
            let running: Vec<_> = started.collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended
                .into_iter()
                .try_for_each(|done| done.unwrap_or_else(|_| bail!("a COPY panicked")))
        })?;
        Ok(began.elapsed())
    }
}

/// Waits until nobody else is at work, as those are who count for reports; then writes everything out.
fn settle(conn: &mut PgConnection) -> anyhow::Result<()> {
    let at_work = sql_query(
        "SELECT 1 FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()",
    );
    let began = Instant::now();
    while at_work.clone().execute(conn)? > 0 {
        ensure!(began.elapsed() < REST, "the platform does not come to rest");
        std::thread::sleep(LOOK);
    }
    Ok(conn.batch_execute("CHECKPOINT")?)
}

#[derive(QueryableByName)]
struct Partition {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    bound: String,
}

fn partitions(conn: &mut PgConnection, of: &str) -> anyhow::Result<Vec<Partition>> {
    let query = sql_query(
        "SELECT c.relname::text AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = $1::regclass",
    );
    Ok(query.bind::<Text, _>(of).load(conn)?)
}

/// Splits a file of rows, one a line as `COPY` writes them, into files of `rows`.
fn split(file: &Path, rows: usize) -> anyhow::Result<Vec<PathBuf>> {
    let mut lines = BufReader::new(File::open(file)?).split(b'\n');
    let mut pieces = Vec::new();
    while let Some(first) = lines.next() {
        let piece = file.with_extension(pieces.len().to_string());
        let mut out = BufWriter::new(File::create(&piece)?);
        for line in std::iter::once(first).chain(lines.by_ref().take(rows - 1)) {
            out.write_all(&line?)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        pieces.push(piece);
    }
    ensure!(!pieces.is_empty(), "the platform wrote no rows");
    Ok(pieces)
}

fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path
        .to_str()
        .context("a temporary folder that is not UTF-8")?;
    Ok(format!("'{}'", text.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_without_losing_any() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows");
        std::fs::write(&file, "a\nb\nc\nd\ne\n").unwrap();
        let pieces = split(&file, 2).unwrap();
        let read = |piece: &PathBuf| std::fs::read_to_string(piece).unwrap();
        assert_eq!(
            pieces.iter().map(read).collect::<Vec<_>>(),
            ["a\nb\n", "c\nd\n", "e\n"]
        );
    }

    #[test]
    fn no_rows_are_no_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows");
        std::fs::write(&file, "").unwrap();
        assert!(split(&file, 2).is_err());
    }
}
