//! Countries, by a database in MaxMind's format (<https://maxmind.github.io/MaxMind-DB/>) that the
//! test writes itself.

use common::CampaignId;
use common::auth::Role;
use serde_json::{Value, json};
use testkit::Setup;

use crate::support::{App, BROWSER, Mail, count, write_key};

/// What a database says, as its bytes.
enum Said<'a> {
    Text(&'a str),
    /// Of 16 bits, 32 and 64.
    Number16(u16),
    Number32(u32),
    Number64(u64),
    List(Vec<Said<'a>>),
    Map(Vec<(&'a str, Said<'a>)>),
}

impl Said<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                assert!(text.len() < 29, "longer ones are written otherwise");
                out.push((2 << 5) | text.len() as u8);
                out.extend(text.as_bytes());
            }
            Self::Number16(number) => {
                out.push((5 << 5) | 2);
                out.extend(number.to_be_bytes());
            }
            Self::Number32(number) => {
                out.push((6 << 5) | 4);
                out.extend(number.to_be_bytes());
            }
            Self::Number64(number) => {
                out.extend([8, 9 - 7]);
                out.extend(number.to_be_bytes());
            }
            Self::List(items) => {
                out.extend([items.len() as u8, 11 - 7]);
                items.iter().for_each(|item| item.write(out));
            }
            Self::Map(pairs) => {
                out.push((7 << 5) | pairs.len() as u8);
                for (key, value) in pairs {
                    Said::Text(key).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// Where a bit of an address leads.
#[derive(Clone, Copy)]
enum Branch {
    Nowhere,
    Node(usize),
    Data(usize),
}

/// A database of IPv4 networks and their countries.
fn database(networks: &[([u8; 4], u32, &str)]) -> Vec<u8> {
    let mut nodes = vec![[Branch::Nowhere; 2]];
    let mut data = Vec::new();
    for (address, prefix, code) in networks {
        let at = data.len();
        let country = Said::Map(vec![("iso_code", Said::Text(code))]);
        Said::Map(vec![("country", country)]).write(&mut data);
        let bits = u32::from_be_bytes(*address);
        let mut node = 0;
        for depth in 0..*prefix {
            let bit = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == *prefix {
                nodes[node][bit] = Branch::Data(at);
            } else if let Branch::Node(next) = nodes[node][bit] {
                node = next;
            } else {
                nodes.push([Branch::Nowhere; 2]);
                nodes[node][bit] = Branch::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let mut file = Vec::new();
    for branch in nodes.iter().flatten() {
        let record = match branch {
            Branch::Nowhere => nodes.len(),
            Branch::Node(number) => *number,
            Branch::Data(at) => nodes.len() + 16 + at,
        };
        file.extend(&(record as u32).to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    Said::Map(vec![
        ("node_count", Said::Number32(nodes.len() as u32)),
        ("record_size", Said::Number16(24)),
        ("ip_version", Said::Number16(4)),
        ("database_type", Said::Text("Test-Country")),
        ("languages", Said::List(vec![Said::Text("en")])),
        ("binary_format_major_version", Said::Number16(2)),
        ("binary_format_minor_version", Said::Number16(0)),
        ("build_epoch", Said::Number64(1_790_000_000)),
        (
            "description",
            Said::Map(vec![("en", Said::Text("of a test"))]),
        ),
    ])
    .write(&mut file);
    file
}

#[tokio::test]
async fn hits_are_counted_by_country() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let networks = [
        ([192, 0, 2, 0], 24, "DE"),
        ([198, 51, 100, 0], 25, "FR"),
        ([203, 0, 113, 7], 32, "strange"),
    ];
    std::fs::write(file.path(), database(&networks)).expect("writable");
    let app: App = Setup::default()
        .with("ANALYTICS_COUNTRIES_FILE", file.path().to_string_lossy())
        .start()
        .await;
    let campaign = CampaignId::new();
    for address in [
        "192.0.2.1",
        "192.0.2.255",
        "198.51.100.127",
        "198.51.100.128",
        "203.0.113.7",
        "2001:db8::1",
    ] {
        let request = app.anonymous().get(Mail::of(&app, campaign).link(&app, 0));
        let request = request.header("user-agent", BROWSER);
        let request = request.header("x-forwarded-for", address);
        request.send().await.assert_status(302);
    }
    assert_eq!(
        count(&app, "events WHERE ip = '192.0.2.1'"),
        0,
        "only the country is kept"
    );
    // A browser's own events, and not those of a server that tells of somebody.
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    for (user_agent, origin) in [
        (BROWSER, Some("https://shop.example")),
        ("python-requests/2.32", None),
    ] {
        let page = json!({ "writeKey": key, "anonymousId": "a" });
        let mut request = app.anonymous().post("/v1/p").json(&page);
        request = request.header("user-agent", user_agent);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.header("x-forwarded-for", "198.51.100.9");
        request.send().await.assert_status(200);
    }
    app.clock.advance(chrono::Duration::seconds(1));
    let analyst = app.as_role(Role::Analyst);
    let ask = async || -> Value {
        let answer = analyst.get("/api/v1/analytics/countries").send().await;
        let answer: Value = answer.assert_status(200).json();
        let items = answer["items"].as_array().expect("items").iter();
        items
            .map(|item| {
                json!([
                    item["country"],
                    item["events"],
                    item["clicks"],
                    item["visitors"]
                ])
            })
            .collect()
    };
    let expected = json!([["DE", 2, 2, 2], ["FR", 2, 1, 2]]);
    assert_eq!(ask().await, expected);
    let mut conn = app.connect();
    analytics::jobs::roll_up::all(&mut conn, app.clock.now()).expect("it counts");
    assert_eq!(ask().await, expected, "also from what is counted");
    let customer = app.as_role(Role::Customer);
    let answer = customer.get("/api/v1/analytics/countries").send().await;
    answer.assert_error(403, "scope_missing");
    let answer = analyst
        .get("/api/v1/analytics/countries?limit=0")
        .send()
        .await;
    answer.assert_error(422, "invalid_input");
}

#[tokio::test]
async fn without_a_database_there_are_no_countries() {
    let app = App::start().await;
    let request = app
        .anonymous()
        .get(Mail::of(&app, CampaignId::new()).link(&app, 0));
    let request = request.header("user-agent", BROWSER);
    request.send().await.assert_status(302);
    app.clock.advance(chrono::Duration::seconds(1));
    let analyst = app.as_role(Role::Analyst);
    let answer = analyst.get("/api/v1/analytics/countries").send().await;
    let answer: Value = answer.assert_status(200).json();
    assert_eq!(answer, json!({ "items": [] }));
    assert_eq!(count(&app, "events WHERE country IS NULL"), 1);
}

#[test]
fn what_is_no_database_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "nonsense").expect("writable");
    let path = file.path().to_string_lossy().into_owned();
    assert!(analytics::countries::Countries::open(&path).is_err());
}
