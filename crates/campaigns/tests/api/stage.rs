//! A campaigns service with peers that answer as leads, notifications and analytics do.

use campaigns::Campaigns;
use common::auth::{Role, Service};
use common::dto::audience::{AudienceCount, AudiencePage, AudiencePageQuery, Recipient, Standing};
use common::dto::standing::DomainStanding;
use common::{CampaignId, LeadId};
use serde_json::{Value, json};
use testkit::{Client, Setup, TestService};
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, Request, Respond, ResponseTemplate};

/// How many recipients the stand-in for leads has; more than one page.
pub(crate) const AUDIENCE: usize = 4_500;

pub(crate) struct Stage {
    pub(crate) app: TestService<Campaigns>,
    pub(crate) marketer: Client,
    pub(crate) list: String,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup<'_>) -> Self {
        let app = setup.start::<Campaigns>().await;
        let marketer = app.as_role(Role::Marketer);
        let stage = Self {
            app,
            marketer,
            list: uuid::Uuid::now_v7().to_string(),
        };
        stage.play_leads().await;
        stage.play_notifications().await;
        stage
    }

    async fn play_leads(&self) {
        let leads = &self.app.peer(Service::Leads).server;
        let count = AudienceCount {
            count: AUDIENCE as i64,
            sendable: AUDIENCE as i64 - 1,
        };
        let answer = ResponseTemplate::new(200).set_body_json(count);
        Mock::given(path("/internal/audience/count"))
            .respond_with(answer)
            .mount(leads)
            .await;
        Mock::given(path("/internal/audience/gaps"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
            .with_priority(100)
            .mount(leads)
            .await;
        let ids = (0..AUDIENCE).map(|_| LeadId::new()).collect();
        Mock::given(path("/internal/audience/page"))
            .respond_with(Pages(ids))
            .mount(leads)
            .await;
    }

    async fn play_notifications(&self) {
        let server = &self.app.peer(Service::Notifications).server;
        let fine = |body: Value| ResponseTemplate::new(200).set_body_json(body);
        for verb in ["complete", "pause", "resume", "cancel"] {
            Mock::given(method("POST"))
                .and(path_regex(format!("^/internal/campaigns/[^/]+/{verb}$")))
                .respond_with(fine(Value::Null))
                .with_priority(100)
                .mount(server)
                .await;
        }
        Mock::given(method("PUT"))
            .respond_with(fine(Value::Null))
            .with_priority(100)
            .mount(server)
            .await;
        Mock::given(path_regex("^/internal/domains/"))
            .respond_with(fine(json!(DomainStanding::default())))
            .with_priority(100)
            .mount(server)
            .await;
        Mock::given(path_regex("/recipients$"))
            .respond_with(fine(json!({ "added": 1 })))
            .with_priority(100)
            .mount(server)
            .await;
    }

    /// A campaign that passes every check but the warning about its sending domain.
    pub(crate) fn ready(&self) -> Value {
        json!({
            "name": "Spring",
            "subject": "Hello {{ lead.first_name }}",
            "from": { "name": "Ada", "email": "ada@example.com" },
            "content": { "format": "text", "body": "Hi {{ lead.first_name }} {{ unsubscribe_url }}" },
            "audience": { "list_ids": [self.list] },
        })
    }

    pub(crate) async fn create(&self, body: &Value) -> Value {
        self.marketer
            .post("/api/v1/campaigns")
            .json(body)
            .send()
            .await
            .assert_status(201)
            .json()
    }

    /// The id of a campaign that was started.
    pub(crate) async fn started(&self) -> CampaignId {
        let id = id(&self.create(&self.ready()).await);
        self.act(id, "start", &json!({ "accept_warnings": true }))
            .await
            .assert_status(200);
        id
    }

    pub(crate) async fn act(&self, id: CampaignId, verb: &str, body: &Value) -> testkit::Response {
        self.marketer
            .post(format!("/api/v1/campaigns/{id}/{verb}"))
            .json(body)
            .send()
            .await
    }

    pub(crate) async fn get(&self, id: CampaignId) -> Value {
        self.marketer
            .get(format!("/api/v1/campaigns/{id}"))
            .send()
            .await
            .assert_status(200)
            .json()
    }

    /// The bodies that notifications got on paths that end in `suffix`.
    pub(crate) async fn told(&self, suffix: &str) -> Vec<Value> {
        let requests = self
            .app
            .peer(Service::Notifications)
            .server
            .received_requests()
            .await;
        requests
            .unwrap_or_default()
            .iter()
            .filter(|request| request.url.path().ends_with(suffix))
            .map(|request| request.body_json().expect("a JSON body"))
            .collect()
    }

    /// Every lead id that was handed over, in order, repetitions included.
    pub(crate) async fn handed(&self) -> Vec<String> {
        let pages = self.told("/recipients").await;
        pages
            .iter()
            .flat_map(|page| page["recipients"].as_array().expect("a page").clone())
            .map(|handed| {
                handed["recipient"]["lead_id"]
                    .as_str()
                    .expect("an id")
                    .to_owned()
            })
            .collect()
    }
}

pub(crate) fn id(campaign: &Value) -> CampaignId {
    campaign["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("a UUID")
}

/// Pages through a fixed audience by keyset, as leads does.
struct Pages(Vec<LeadId>);

impl Respond for Pages {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let query: AudiencePageQuery = request.body_json().expect("the contract's body");
        let limit = usize::try_from(query.limit).expect("a page size");
        let rest: Vec<_> = self
            .0
            .iter()
            .filter(|id| query.after.is_none_or(|after| **id > after))
            .collect();
        let items: Vec<_> = rest.iter().take(limit).map(|id| recipient(**id)).collect();
        let next = items
            .last()
            .map(|last| last.lead_id)
            .filter(|_| rest.len() > limit);
        ResponseTemplate::new(200).set_body_json(AudiencePage { items, next })
    }
}

fn recipient(lead_id: LeadId) -> Recipient {
    Recipient {
        lead_id,
        email: format!("{lead_id}@example.com"),
        timezone: Some("Asia/Tokyo".into()),
        standing: Standing::Sendable,
        lead: json!({ "email": format!("{lead_id}@example.com"), "first_name": "Ada" }).into(),
    }
}
