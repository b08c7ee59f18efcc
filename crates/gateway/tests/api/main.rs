//! The gateway between real sockets: clients on one side, stand-ins for the services on the other.

mod balancing;
mod cache;
mod compression;
mod credentials;
mod dashboard;
mod documents;
mod faults;
mod health;
mod hygiene;
mod inside;
mod load;
mod logs;
mod nginx;
mod overview;
mod passing;
mod replica;
mod support;
mod table;
mod tls;
mod upgrade;
mod wire;
