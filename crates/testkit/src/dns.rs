//! A name server with the records that a test gives it.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{MX, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

type Records = Arc<Mutex<HashMap<(String, RecordType), Vec<RData>>>>;

/// Answers over UDP on loopback; a name it was not given does not exist.
#[derive(Debug)]
pub struct Zone {
    pub address: SocketAddr,
    records: Records,
}

impl Zone {
    /// It ends with the process.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let records = Records::default();
        let served = Arc::clone(&records);
        std::thread::spawn(move || serve(&socket, &served));
        Self { address, records }
    }

    /// Publishes a text, in parts as long ones must be.
    pub fn txt(&self, name: &str, text: &str) {
        let parts = text.as_bytes().chunks(255);
        let parts = parts.map(|part| String::from_utf8_lossy(part).into_owned());
        self.add(name, RecordType::TXT, RData::TXT(TXT::new(parts.collect())));
    }

    pub fn mx(&self, name: &str, preference: u16, host: &str) {
        let host = Name::from_ascii(host).expect("a name");
        self.add(name, RecordType::MX, RData::MX(MX::new(preference, host)));
    }

    fn add(&self, name: &str, kind: RecordType, data: RData) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.trim_end_matches('.').to_lowercase(), kind);
        records.entry(key).or_default().push(data);
    }

    /// Takes away everything at a name.
    pub fn remove(&self, name: &str) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|(found, _), _| found != name);
    }
}

fn serve(socket: &UdpSocket, records: &Records) {
    let mut packet = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        let answer = Message::from_vec(&packet[..length])
            .ok()
            .and_then(|question| answer(question, records).to_vec().ok());
        if let Some(answer) = answer {
            socket.send_to(&answer, from).ok();
        }
    }
}

fn answer(question: Message, records: &Records) -> Message {
    let mut message = question;
    message.metadata.message_type = MessageType::Response;
    let records = records.lock().unwrap_or_else(PoisonError::into_inner);
    for query in message.queries.clone() {
        let name = query.name().to_ascii();
        let key = (
            name.trim_end_matches('.').to_lowercase(),
            query.query_type(),
        );
        match records.get(&key) {
            Some(found) => {
                for data in found {
                    message.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
                }
            }
            None => message.metadata.response_code = ResponseCode::NXDomain,
        }
    }
    message
}
