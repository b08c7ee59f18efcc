use common::auth::Role;
use common::{ImportId, ListId, WorkspaceId};
use diesel::connection::SimpleConnection;
use leads::Leads;
use serde_json::{Value, json};
use std::io::{Read, Write};
use testkit::{Setup, eventually};

use crate::support::{
    App, counts, ended, fields, get, given_lead, given_list, id, import, join, marketer, rows,
    start, upload,
};

/// A file of so many people.
fn people(count: usize, salt: &str) -> String {
    let row = |n| format!("person{n}{salt}@example.com,First {n},plan {}\n", n % 3);
    "email,first_name,plan\n".to_owned() + &(0..count).map(row).collect::<String>()
}

#[actix_web::test]
async fn every_row_is_counted_once() {
    let app = start().await;
    given_lead(&app, json!({ "email": "old@example.com", "company": "Kept", "tags": ["a"], "status": "customer" })).await;
    given_lead(
        &app,
        json!({ "email": "same@example.com", "first_name": "Same" }),
    )
    .await;
    let csv = "\u{feff}E-Mail;First name;tags;plan;status;score\r\n\
               OLD@example.com;Old;a,b;pro;;\r\n\
               same@example.com;Same;;;new;\r\n\
               new@example.com;\"Jörg\r\nÜnal\";;\"free; really\";lost;5\r\n\
               \r\n\
               NEW@example.com;;;;;\r\n\
               new@example.com;Later;;;;6\r\n\
               broken;x;;;;\r\n\
               odd@example.com;x;;;hot;\r\n";
    let done = import(&app, "", csv).await;
    assert_eq!(done["status"], "done", "{done}");
    assert_eq!(counts(&done), [7, 1, 2, 2, 2]);
    assert!(done["took_ms"].is_i64());

    let page = get(&app, "/api/v1/leads?q=old@").await;
    let old = &page["items"][0];
    assert_eq!(old["email"], "old@example.com");
    assert_eq!(old["company"], "Kept");
    assert_eq!(old["status"], "customer");
    assert_eq!(old["tags"], json!(["a", "b"]));
    assert_eq!(old["attributes"], json!({ "plan": "pro" }));
    let page = get(&app, "/api/v1/leads?q=new@").await;
    let new = &page["items"][0];
    assert_eq!(
        (&new["first_name"], &new["score"]),
        (&json!("Later"), &json!(6))
    );
    assert_eq!(new["attributes"]["plan"], "free; really");

    let path = format!("/api/v1/leads/imports/{}/errors", id(&done));
    let errors = marketer(&app)
        .get(path)
        .send()
        .await
        .assert_status(200)
        .text();
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(
        lines[0],
        "line,reason,E-Mail,First name,tags,plan,status,score"
    );
    assert_eq!(lines[1], "9,E-Mail must contain an @,broken,x,,,,");
    assert!(
        lines[2].starts_with("10,\"status must be one of new,"),
        "{}",
        lines[2]
    );

    let again = import(&app, "", csv).await;
    assert_eq!(again["created"], 0);
    assert_eq!(rows(&app, "import_chunks"), 0);
    assert_eq!(
        app.events()
            .iter()
            .filter(|kind| *kind == "leads.imported")
            .count(),
        2
    );
}

#[actix_web::test]
async fn importing_twice_changes_nothing() {
    let app = start().await;
    let csv = people(500, "");
    assert_eq!(
        counts(&import(&app, "", csv.clone()).await),
        [500, 500, 0, 0, 0]
    );
    assert_eq!(counts(&import(&app, "", csv).await), [500, 0, 0, 500, 0]);
}

#[actix_web::test]
async fn a_list_takes_everybody_in_and_undoes_nobodys_choice() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    for (email, status) in [
        ("gone", "unsubscribed"),
        ("waiting", "unconfirmed"),
        ("sure", "confirmed"),
    ] {
        let lead = given_lead(&app, json!({ "email": format!("{email}@example.com") })).await;
        join(&app, &list, &lead, status).await;
    }
    let csv = "email\ngone@example.com\nwaiting@example.com\nsure@example.com\nnew@example.com\n";
    let members = async || {
        let page = get(&app, &format!("/api/v1/lists/{list}/members")).await;
        fields(&page, "email")
            .into_iter()
            .zip(fields(&page, "status"))
            .collect::<Vec<_>>()
    };
    let standing = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(who, how)| (format!("{who}@example.com"), (*how).to_owned()))
            .collect()
    };

    import(
        &app,
        &format!("?list_id={list}&list_status=unconfirmed"),
        csv,
    )
    .await;
    let expected = [
        ("gone", "unsubscribed"),
        ("waiting", "unconfirmed"),
        ("sure", "confirmed"),
        ("new", "unconfirmed"),
    ];
    assert_eq!(members().await, standing(&expected));
    let before = rows(&app, "consents");
    import(&app, &format!("?list_id={list}"), csv).await;
    let expected = [
        ("gone", "unsubscribed"),
        ("waiting", "confirmed"),
        ("sure", "confirmed"),
        ("new", "confirmed"),
    ];
    assert_eq!(members().await, standing(&expected));
    assert_eq!(rows(&app, "consents"), before + 2);

    let page = get(&app, "/api/v1/leads?q=new@").await;
    let path = format!("/api/v1/leads/{}/timeline", id(&page["items"][0]));
    let timeline = get(&app, &path).await;
    assert!(fields(&timeline, "kind").contains(&"imported".to_owned()));
    assert_eq!(timeline["items"][0]["detail"]["method"], "import");
}

#[actix_web::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let csv = people(20, "") + "broken,x,y\n";
    let done = import(&app, &format!("?dry_run=true&list_id={list}"), csv).await;
    assert_eq!(counts(&done), [21, 20, 0, 0, 1]);
    assert_eq!(
        [
            rows(&app, "leads"),
            rows(&app, "list_members"),
            rows(&app, "consents")
        ],
        [0; 3]
    );
    assert_eq!(rows(&app, "import_errors"), 1);
    assert!(app.events().is_empty());
}

#[actix_web::test]
async fn what_is_no_csv_of_leads_is_refused_and_not_kept() {
    let app = start().await;
    let utf16: Vec<u8> = "email,name\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let zip = [b"PK\x03\x04".as_slice(), &[7; 5000]].concat();
    let wide = (0..5_000).map(|n| format!("c{n},")).collect::<String>() + "email\n";
    for (body, code) in [
        (zip, "not_a_csv"),
        (utf16, "not_a_csv"),
        (b"email,vorn\xe4me\na@example.com,x\n".to_vec(), "not_a_csv"),
        (wide.into_bytes(), "too_many_columns"),
        (b"name,phone\nAda,1\n".to_vec(), "no_email_column"),
        (b"email,EMAIL\n".to_vec(), "bad_columns"),
        (Vec::new(), "empty_file"),
    ] {
        let problem = upload(&app, "", body).await.assert_error(422, code);
        assert_eq!(problem.errors[0].pointer.split('/').next(), Some("file"));
    }
    let nothing = upload(&app, "", "name,phone\n")
        .await
        .assert_error(422, "no_email_column");
    assert!(nothing.detail.contains("name, phone"));
    let client = marketer(&app);
    let pdf = client
        .post("/api/v1/leads/imports")
        .header("content-type", "application/pdf");
    pdf.body("x")
        .send()
        .await
        .assert_error(415, "unsupported_media_type");
    let latin = client
        .post("/api/v1/leads/imports")
        .header("content-type", "text/csv; charset=latin1");
    latin
        .body("email\n")
        .send()
        .await
        .assert_error(415, "unsupported_media_type");
    upload(&app, &format!("?list_id={}", ListId::new()), "email\n")
        .await
        .assert_error(404, "list_not_found");
    upload(&app, "?list_status=maybe", "email\n")
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(
        [
            rows(&app, "imports"),
            rows(&app, "import_chunks"),
            rows(&app, "jobs")
        ],
        [0; 3]
    );
}

#[actix_web::test]
async fn bad_bytes_cost_a_row_and_not_the_file() {
    let app = start().await;
    let csv = b"email,name\na@example.com,J\xf6rg\nb@example.com,x\0y\nc@example.com,\"open\nd@example.com,d\n";
    let done = import(&app, "", csv.to_vec()).await;
    assert_eq!(counts(&done), [4, 1, 0, 0, 3]);
    let path = format!("/api/v1/leads/imports/{}/errors", id(&done));
    let errors = marketer(&app).get(path).send().await.text();
    for reason in [
        "2,name is not UTF-8",
        "3,name must not contain a NUL",
        "4,a quote is not closed",
    ] {
        assert!(errors.contains(reason), "{errors}");
    }
}

#[actix_web::test]
async fn a_form_maps_columns() {
    let app = start().await;
    let form = |mapping: &str| {
        let part = |name: &str, body: &str| {
            format!(
                "--x\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n{body}\r\n"
            )
        };
        let csv = "Mail,Plan name,Secret\na@example.com,pro,s3cret\n";
        part("file", csv) + &part("mapping", mapping) + "--x--\r\n"
    };
    let send = async |body: String| {
        let request = marketer(&app).post("/api/v1/leads/imports");
        let request = request.header("content-type", "multipart/form-data; boundary=x");
        request.body(body).send().await
    };
    let mapping = r#"{"Mail":"email","Plan name":"attributes.plan.name","Secret":null}"#;
    let accepted: Value = send(form(mapping)).await.assert_status(202).json();
    assert_eq!(counts(&ended(&app, &id(&accepted)).await), [1, 1, 0, 0, 0]);
    let page = get(&app, "/api/v1/leads").await;
    assert_eq!(
        page["items"][0]["attributes"],
        json!({ "plan": { "name": "pro" } })
    );

    let unknown = send(form(r#"{"Mail":"email","Nope":"phone"}"#))
        .await
        .assert_error(422, "bad_columns");
    assert_eq!(unknown.errors[0].pointer, "mapping/Nope");
    send(form("[]")).await.assert_error(422, "invalid_input");
    send(form(r#"{}"#))
        .await
        .assert_error(422, "no_email_column");
    send("--x\r\ncontent-disposition: form-data; name=\"other\"\r\n\r\n1\r\n--x--\r\n".into())
        .await
        .assert_error(422, "invalid_input");
    send("--x--\r\n".into())
        .await
        .assert_error(422, "invalid_input");
    send(form(mapping).replace("--x--\r\n", ""))
        .await
        .assert_error(400, "malformed_body");
}

#[actix_web::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let app = start().await;
    let csv = people(20_000, "");
    let token = bearer(&app);
    let address = app.address;
    let sent = csv.len() / 2;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).expect("the service listens");
        let head = format!(
            "POST /api/v1/leads/imports HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\
             content-type: text/csv\r\ncontent-length: {}\r\n\r\n",
            csv.len()
        );
        stream.write_all(head.as_bytes()).expect("sends");
        stream.write_all(&csv.as_bytes()[..sent]).expect("sends");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("breaks off");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok();
        answer
    });
    let answer = answer.await.expect("no panic");
    assert!(!answer.contains(" 202 "), "{answer}");
    eventually("the pieces are gone", || async {
        rows(&app, "imports") == 0 && rows(&app, "import_chunks") == 0
    })
    .await;
    assert_eq!(rows(&app, "jobs"), 0);
}

/// The header that a marketer's requests carry.
fn bearer(app: &App) -> String {
    let now = app.clock.now().timestamp();
    let token = testkit::Issuer::shared().user(app.workspace, Role::Marketer, now);
    format!("Bearer {token}")
}

#[actix_web::test]
async fn a_file_over_the_limit_is_refused_and_not_kept() {
    let app: App = Setup::default()
        .with("LEADS_IMPORT_LIMIT_MB", "1")
        .start::<Leads>()
        .await;
    upload(&app, "", people(50_000, ""))
        .await
        .assert_error(413, "body_too_large");
    eventually("the pieces are gone", || async {
        rows(&app, "import_chunks") == 0
    })
    .await;
    assert_eq!(rows(&app, "imports"), 0);
}

#[actix_web::test]
async fn an_upload_whose_process_died_is_swept_away() {
    let mut app = start().await;
    let sql = format!(
        "INSERT INTO imports (workspace_id, id, status, actor, list_status, dry_run, plan, created_at)
         VALUES ('{w}', '{i}', 'uploading', 'x', 'confirmed', false, '{{}}', '2020-01-01');
         INSERT INTO import_chunks VALUES ('{w}', '{i}', 0, 'x')",
        w = app.workspace,
        i = ImportId::new(),
    );
    app.connect().batch_execute(&sql).expect("good SQL");
    let replica: App = Setup::default().beside(&app).start::<Leads>().await;
    eventually("it is swept away", || async {
        rows(&replica, "imports") == 0
    })
    .await;
    assert_eq!(rows(&replica, "import_chunks"), 0);
    app.stop();
}

#[actix_web::test]
async fn an_import_whose_worker_died_goes_on_where_it_stopped() {
    let app = start().await;
    // The file is longer than a batch; the worker dies after the first, with its lease held.
    let csv = people(60_000, "");
    let block = "CREATE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.next_byte > 0 AND NEW.rows > 50000 THEN RAISE EXCEPTION 'killed'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER stop_here BEFORE UPDATE ON imports FOR EACH ROW EXECUTE FUNCTION stop_here();";
    app.connect().batch_execute(block).expect("good SQL");
    let accepted: Value = upload(&app, "", csv).await.assert_status(202).json();
    let path = format!("/api/v1/leads/imports/{}", id(&accepted));
    eventually("the first batch is in", || async {
        get(&app, &path).await["rows"] == 50_000
    })
    .await;
    eventually("the second batch failed", || async {
        rows(&app, "jobs WHERE last_error LIKE '%killed%'") == 1
    })
    .await;
    assert_eq!(rows(&app, "leads"), 50_000);

    app.connect()
        .batch_execute("DROP TRIGGER stop_here ON imports")
        .expect("good SQL");
    app.clock.advance(chrono::Duration::minutes(1));
    let done = ended(&app, &id(&accepted)).await;
    assert_eq!(counts(&done), [60_000, 60_000, 0, 0, 0]);
    assert_eq!(rows(&app, "leads"), 60_000);
}

#[actix_web::test]
async fn imports_of_the_same_people_do_not_stop_each_other() {
    let app = start().await;
    let replica: App = Setup::default().beside(&app).start::<Leads>().await;
    let list = given_list(&app, "News").await;
    let forwards = people(3_000, "");
    let mut lines: Vec<&str> = forwards.lines().collect();
    lines[1..].reverse();
    let backwards = lines.join("\n") + "\n";
    let mut accepted = Vec::new();
    for n in 0..6 {
        let csv = if n % 2 == 0 {
            forwards.clone()
        } else {
            backwards.clone()
        };
        let sent = upload(&app, &format!("?list_id={list}"), csv).await;
        accepted.push(id(&sent.assert_status(202).json()));
    }
    let mut created = 0;
    for import in accepted {
        // A worker that lost a deadlock comes back at once; the clock stands still.
        let done = ended(&app, &import).await;
        assert_eq!(done["status"], "done", "{done}");
        created += counts(&done)[1];
    }
    assert_eq!(
        (created, rows(&app, "leads"), rows(&app, "list_members")),
        (3_000, 3_000, 3_000)
    );
    drop(replica);
}

#[actix_web::test]
async fn a_cancelled_import_stops() {
    let app = start().await;
    let hold = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'later'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION refuse();";
    app.connect().batch_execute(hold).expect("good SQL");
    let accepted: Value = upload(&app, "", people(10, ""))
        .await
        .assert_status(202)
        .json();
    let path = format!("/api/v1/leads/imports/{}", id(&accepted));
    let other = app.as_role_in(WorkspaceId::new(), Role::Owner);
    other
        .delete(&path)
        .send()
        .await
        .assert_error(404, "import_not_found");
    other
        .get(&path)
        .send()
        .await
        .assert_error(404, "import_not_found");

    marketer(&app).delete(&path).send().await.assert_status(204);
    marketer(&app)
        .delete(&path)
        .send()
        .await
        .assert_error(409, "import_ended");
    assert_eq!(get(&app, &path).await["status"], "cancelled");
    app.connect()
        .batch_execute("DROP TRIGGER refuse ON leads")
        .expect("good SQL");
    app.clock.advance(chrono::Duration::minutes(1));
    eventually("its job is done with", || async { rows(&app, "jobs") == 0 }).await;
    assert_eq!([rows(&app, "leads"), rows(&app, "import_chunks")], [0; 2]);
    assert_eq!(
        fields(&get(&app, "/api/v1/leads/imports").await, "status"),
        ["cancelled"]
    );
}

#[actix_web::test]
async fn an_import_into_a_list_that_is_deleted_fails_and_says_so() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let hold = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'later'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION refuse();";
    app.connect().batch_execute(hold).expect("good SQL");
    let accepted: Value = upload(&app, &format!("?list_id={list}"), people(10, ""))
        .await
        .json();
    eventually("it was tried", || async {
        rows(&app, "jobs WHERE last_error IS NOT NULL") == 1
    })
    .await;
    marketer(&app)
        .delete(format!("/api/v1/lists/{list}"))
        .send()
        .await
        .assert_status(204);
    app.clock.advance(chrono::Duration::minutes(1));
    let failed = ended(&app, &id(&accepted)).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["failure"], "its list was deleted");
    assert_eq!(rows(&app, "import_chunks"), 0);
}

#[actix_web::test]
async fn an_import_that_never_works_is_given_up() {
    let app = start().await;
    let hold = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION refuse();";
    app.connect().batch_execute(hold).expect("good SQL");
    let accepted: Value = upload(&app, "", people(10, "")).await.json();
    eventually("it was tried", || async {
        rows(&app, "jobs WHERE last_error IS NOT NULL") == 1
    })
    .await;
    app.connect()
        .batch_execute("UPDATE jobs SET attempts = 19")
        .expect("good SQL");
    app.clock.advance(chrono::Duration::minutes(1));
    let failed = ended(&app, &id(&accepted)).await;
    assert_eq!(failed["status"], "failed");
    assert!(
        failed["failure"]
            .as_str()
            .is_some_and(|why| why.contains("operator"))
    );
}
