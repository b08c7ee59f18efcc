use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, Read, Seek, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    Summary,
    index::{FilePlace, Index, Place},
    record::{HEAD, Head, number},
};
use crate::Error;

/// Past this size a new segment begins. Only the last one is checked octet by octet at a start.
const SEGMENT_SIZE: u64 = 64 << 20;

/// The files of a mailbox, open for appending.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    /// Held for as long as this mailbox runs; the kernel lets go of it when the process dies.
    lock: File,
    number: u64,
    file: File,
    length: u64,
}

impl Segments {
    /// Opens the folder and fills the index with what it holds.
    pub(super) fn open(folder: &Path, index: &mut Index) -> Result<Self, Error> {
        let failed = |source| Error::Folder {
            folder: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = lock(folder)?;
        let numbers = numbers(folder).map_err(failed)?;
        let last = numbers.last().copied().unwrap_or(1);
        let mut length = 0;
        for number in numbers {
            length = recover(folder, number, number == last, index).map_err(failed)?;
        }
        let file = open(folder, last).map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            lock,
            number: last,
            file,
            length,
        })
    }

    /// Where the next octet goes.
    pub(super) fn end(&self) -> (u64, u64) {
        (self.number, self.length)
    }

    /// Makes these records durable, all or none.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let written = self
            .file
            .write_all(records)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What a failed write left behind is unknown: cut it off and never use the file again.
            let _ = self.file.set_len(self.length);
            self.next()?;
            return Err(error);
        }
        self.length += records.len() as u64;
        Ok(())
    }

    /// Begins a new segment when the present one is long.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        if self.length < SEGMENT_SIZE {
            Ok(())
        } else {
            self.next()
        }
    }

    fn next(&mut self) -> io::Result<()> {
        self.file = open(&self.folder, self.number + 1)?;
        self.number += 1;
        self.length = 0;
        Ok(())
    }

    /// Forgets every record: a new segment first, then the old ones go.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.next()?;
        for number in numbers(&self.folder)? {
            if number != self.number {
                fs::remove_file(path(&self.folder, number))?;
            }
        }
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Segments {
    /// Unlocks by name: a process that is just being spawned may hold a copy of the open file for
    /// a moment, and closing ours would leave the folder locked for that long.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the mailbox folder stays locked until this process ends");
        }
    }
}

/// The source of a message.
pub(super) fn read(folder: &Path, place: FilePlace) -> io::Result<Bytes> {
    let mut raw = vec![0; usize::try_from(place.length).map_err(io::Error::other)?];
    File::open(path(folder, place.segment))?.read_exact_at(&mut raw, place.offset)?;
    Ok(raw.into())
}

fn lock(folder: &Path) -> Result<File, Error> {
    let failed = |source| Error::Folder {
        folder: folder.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("mails-{number:08}.seg"))
}

/// The segments of this folder, oldest first.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| {
            name.strip_prefix("mails-")?
                .strip_suffix(".seg")?
                .parse()
                .ok()
        });
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn open(folder: &Path, number: u64) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path(folder, number))?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Reads one segment into the index and says how long its sound part is. Of the last segment every
/// octet is checked, and what is not sound is cut off: a crash left it, and nobody got a 250 for it.
fn recover(folder: &Path, number: u64, last: bool, index: &mut Index) -> io::Result<u64> {
    let path = path(folder, number);
    let file = File::open(&path)?;
    let size = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut at = 0;
    while let Some((summary, place, next)) = next_record(&mut reader, number, at, size, last)? {
        index.push(summary, Place::File(place));
        at = next;
    }
    if at < size {
        tracing::warn!(segment = %path.display(), from = at, octets = size - at, "unsound end of segment");
        if last {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(at)?;
            file.sync_all()?;
        }
    }
    Ok(at)
}

/// The record at this place, and where the next one begins; `None` when there is no sound record.
fn next_record(
    reader: &mut BufReader<File>,
    segment: u64,
    at: u64,
    size: u64,
    check: bool,
) -> io::Result<Option<(Summary, FilePlace, u64)>> {
    let body_at = at + HEAD as u64;
    let mut head = [0; HEAD];
    if body_at > size {
        return Ok(None);
    }
    reader.read_exact(&mut head)?;
    let Some(head) = Head::parse(&head).filter(|head| head.length >= 4) else {
        return Ok(None);
    };
    let next = body_at + head.length;
    if next > size {
        return Ok(None);
    }
    let Some((meta, meta_length)) = read_meta(reader, head, check)? else {
        return Ok(None);
    };
    let Ok(summary) = serde_json::from_slice(&meta) else {
        return Ok(None);
    };
    let here = reader.stream_position()?;
    reader.seek_relative(next.cast_signed() - here.cast_signed())?;
    let skipped = 4 + u64::from(meta_length);
    let place = FilePlace {
        segment,
        offset: body_at + skipped,
        length: head.length - skipped,
    };
    Ok(Some((summary, place, next)))
}

/// The summary's JSON, with the whole body checked or only as much read as needed.
fn read_meta(
    reader: &mut BufReader<File>,
    head: Head,
    check: bool,
) -> io::Result<Option<(Vec<u8>, u32)>> {
    let mut body = Vec::new();
    if check {
        reader.by_ref().take(head.length).read_to_end(&mut body)?;
        if !head.matches(&body) {
            return Ok(None);
        }
    } else {
        reader.by_ref().take(4).read_to_end(&mut body)?;
    }
    let Some(meta_length) = number(&body) else {
        return Ok(None);
    };
    if u64::from(meta_length) + 4 > head.length {
        return Ok(None);
    }
    if !check {
        reader
            .by_ref()
            .take(meta_length.into())
            .read_to_end(&mut body)?;
    }
    body.drain(..4);
    body.truncate(meta_length as usize);
    Ok(Some((body, meta_length)))
}
