//! The service through HTTP, on a database of each test's own.

mod answers;
mod brute;
mod clients;
mod countries;
mod erasures;
mod export;
mod faults;
mod goals;
mod ingest;
mod kill;
mod live;
mod people;
mod replica;
mod reports;
mod rescore;
mod scale;
mod segment;
mod shares;
mod snippet;
mod support;
mod tracking;
mod upkeep;
mod visits;
mod write_keys;
