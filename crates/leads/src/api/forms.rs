//! `/forms`

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, Language, Path, Query, etag};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::json::Stored;
use common::page::{Page, PageQuery};
use common::{FormId, ListId, WorkspaceId, values};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::{Check, name, paging, present};
use crate::domain::form::{self, Field, MAX_FIELDS, MAX_LISTS, MAX_ORIGINS, Part};
use crate::domain::lead;
use crate::domain::words::LANGUAGES;
use crate::error::Error;
use crate::state::State;
use crate::store::forms::Form;
use crate::store::{self, lists, submissions};

/// A form. In a PATCH what is absent stays, and null clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = leads::FormBody)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FormBody {
    /// What it is called by those who made it.
    name: Option<String>,
    /// The lists that people come onto, at most 20.
    list_ids: Option<Vec<ListId>>,
    /// What is asked besides the address, at most 20.
    fields: Option<Vec<FormField>>,
    /// `en` (the default) or `de`: the language of what the form has no words of its own for.
    language: Option<String>,
    /// What stands above it.
    title: Option<String>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    text: Option<Option<String>>,
    /// What stands on its button.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    button: Option<Option<String>>,
    /// What people agree to; it goes into the consent ledger in exactly these words.
    wording: Option<String>,
    /// What people read when they have sent it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    success_message: Option<Option<String>>,
    /// Where people are led instead.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = "uri")]
    redirect_url: Option<Option<String>>,
    /// Whether a mail asks people to confirm it, which is the default. Who has unsubscribed is
    /// asked in any case.
    double_opt_in: Option<bool>,
    /// Pages of these origins may send it from a browser, such as `https://shop.example`. Without
    /// any, all may.
    origins: Option<Vec<String>>,
    /// Whether it takes anybody; true when absent.
    active: Option<bool>,
}

/// A question of a form.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = leads::FormField)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormField {
    /// `first_name`, `last_name`, `phone`, `company` or `attributes.<name>`.
    field: String,
    label: String,
    #[serde(default)]
    required: bool,
}

impl FormBody {
    /// Lays the body over a form; names everything it cannot use.
    fn apply(self, form: &mut Form, check: &mut Check) {
        if let Some(given) = &self.name {
            form.name = name(check, "/name", given);
        }
        if let Some(given) = self.list_ids {
            form.list_ids = chosen_lists(check, given);
        }
        if let Some(given) = self.fields {
            form.fields = Stored(questions(check, given));
        }
        if let Some(given) = self.language {
            let tags = LANGUAGES.map(Language::tag);
            if !tags.contains(&given.as_str()) {
                check.refuse("/language", format!("must be one of {}", tags.join(", ")));
            }
            form.language = given;
        }
        if let Some(given) = &self.title {
            form.title = name(check, "/title", given);
        }
        if let Some(given) = &self.wording {
            form.wording = wording(check, given);
        }
        let mut text = |held: &mut Option<String>, pointer, given: Option<Option<String>>| {
            if let Some(given) = given {
                let lines = form::lines(&given.unwrap_or_default(), 2_000);
                *held = check.take(pointer, lines).flatten();
            }
        };
        text(&mut form.text, "/text", self.text);
        let message = self.success_message;
        text(&mut form.success_message, "/success_message", message);
        if let Some(given) = self.button {
            let line = lead::line(&given.unwrap_or_default(), 100);
            form.button = check.take("/button", line).flatten();
        }
        if let Some(given) = self.redirect_url {
            form.redirect_url = given.and_then(|text| check.take("/redirect_url", target(&text)));
        }
        form.double_opt_in = self.double_opt_in.unwrap_or(form.double_opt_in);
        if let Some(given) = self.origins {
            form.origins = origins(check, &given);
        }
        form.active = self.active.unwrap_or(form.active);
    }
}

fn chosen_lists(check: &mut Check, given: Vec<ListId>) -> Vec<ListId> {
    let mut lists = Vec::new();
    for id in given {
        if !lists.contains(&id) {
            lists.push(id);
        }
    }
    if !(1..=MAX_LISTS).contains(&lists.len()) {
        check.refuse("/list_ids", format!("must be 1 to {MAX_LISTS} lists"));
    }
    lists
}

fn questions(check: &mut Check, given: Vec<FormField>) -> Vec<Field> {
    if given.len() > MAX_FIELDS {
        check.refuse("/fields", format!("must be at most {MAX_FIELDS} fields"));
    }
    let mut fields: Vec<Field> = Vec::new();
    for (index, asked) in given.into_iter().enumerate() {
        let pointer = format!("/fields/{index}/field");
        if Part::of(&asked.field).is_none() {
            let known = "must be first_name, last_name, phone, company or attributes.<name>";
            check.refuse(&pointer, known);
        }
        if fields.iter().any(|field| field.field == asked.field) {
            check.refuse(&pointer, "is asked already");
        }
        fields.push(Field {
            label: name(check, &format!("/fields/{index}/label"), &asked.label),
            field: asked.field,
            required: asked.required,
        });
    }
    fields
}

fn wording(check: &mut Check, given: &str) -> String {
    match check.take("/wording", lead::line(given, 2_000)) {
        Some(None) => {
            check.refuse("/wording", "must not be empty");
            String::new()
        }
        found => found.flatten().unwrap_or_default(),
    }
}

/// Where people may be led: a page, and not by way of somebody's name and password.
fn target(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text.trim()).map_err(|_| "must be a URL such as https://shop.example/")?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
        return Err("must begin with https:// or http://");
    }
    if url.as_str().len() > 2_000 {
        return Err("must be at most 2000 characters long");
    }
    Ok(url.into())
}

fn origins(check: &mut Check, given: &[String]) -> Vec<String> {
    if given.len() > MAX_ORIGINS {
        check.refuse("/origins", format!("must be at most {MAX_ORIGINS} origins"));
    }
    let mut found = Vec::new();
    for (index, text) in given.iter().enumerate() {
        match values::web_origin(text) {
            Some(origin) if found.contains(&origin) => {}
            Some(origin) => found.push(origin),
            None => check.refuse(
                &format!("/origins/{index}"),
                "must be an origin such as https://shop.example",
            ),
        }
    }
    found
}

/// A public form by which people come onto lists.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::FormView)]
pub(crate) struct FormView {
    id: FormId,
    name: String,
    list_ids: Vec<ListId>,
    fields: Vec<FormField>,
    language: String,
    title: String,
    text: Option<String>,
    button: Option<String>,
    wording: String,
    success_message: Option<String>,
    redirect_url: Option<String>,
    double_opt_in: bool,
    origins: Vec<String>,
    active: bool,
    /// Its page, where forms of other pages are sent to as well.
    url: String,
    /// How often it was sent.
    submissions: i64,
    /// How many of those are confirmed, or needed no confirmation.
    confirmations: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl FormView {
    fn of(form: Form, counts: &[(FormId, i64, i64)], state: &State) -> Self {
        let counted = counts.iter().find(|(id, _, _)| *id == form.id);
        let (submissions, confirmations) = counted.map_or((0, 0), |(_, all, done)| (*all, *done));
        let field = |field: Field| FormField {
            field: field.field,
            label: field.label,
            required: field.required,
        };
        Self {
            url: state.page_of(form.id),
            id: form.id,
            name: form.name,
            list_ids: form.list_ids,
            fields: form.fields.0.into_iter().map(field).collect(),
            language: form.language,
            title: form.title,
            text: form.text,
            button: form.button,
            wording: form.wording,
            success_message: form.success_message,
            redirect_url: form.redirect_url,
            double_opt_in: form.double_opt_in,
            origins: form.origins,
            active: form.active,
            submissions: submissions + form.lapsed,
            confirmations,
            created_at: form.created_at,
            updated_at: form.updated_at,
        }
    }
}

/// `GET /forms`: newest first.
#[utoipa::path(
    get, path = "/api/v1/forms", tag = "leads", operation_id = "leads_forms_list",
    params(PageQuery),
    responses((status = 200, description = "Forms, newest first", body = Page<FormView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<FormView>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let workspace = caller.workspace;
    let (limit, before) = paging(query.limit, query.cursor.as_deref())?;
    let (rows, counts) = state
        .host
        .db
        .run(move |conn| {
            let rows = store::forms::newest(conn, workspace, before, limit + 1)?;
            let ids: Vec<_> = rows.iter().map(|form| form.id).collect();
            let counts = submissions::counts(conn, workspace, &ids)?;
            Ok::<_, Error>((rows, counts))
        })
        .await?;
    let view = |form| FormView::of(form, &counts, &state);
    Ok(Json(Page::from_rows(rows, limit, |form| form.id, view)))
}

/// `POST /forms`
#[utoipa::path(
    post, path = "/api/v1/forms", tag = "leads", operation_id = "leads_forms_create",
    request_body(content = FormBody, description = "`name`, `list_ids`, `title` and `wording` are needed"),
    responses(
        (status = 201, description = "The new form", body = FormView),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<FormBody>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let mut form = blank(caller.workspace, state.host.clock.now());
    let (mut body, mut check) = (body.into_inner(), Check::default());
    // What is needed and absent is as wrong as what is empty.
    body.name = Some(body.name.unwrap_or_default());
    body.title = Some(body.title.unwrap_or_default());
    body.wording = Some(body.wording.unwrap_or_default());
    body.list_ids = Some(body.list_ids.unwrap_or_default());
    body.apply(&mut form, &mut check);
    check.finish()?;
    let form = state
        .host
        .db
        .transaction(move |conn| {
            keep_lists(conn, &form)?;
            store::forms::insert(conn, &form)?;
            Ok::<_, Error>(form)
        })
        .await?;
    let location = format!("/api/v1/forms/{}", form.id);
    Ok(HttpResponse::Created()
        .insert_header(etag(form.version))
        .insert_header(("location", location))
        .json(FormView::of(form, &[], &state)))
}

fn blank(workspace_id: WorkspaceId, now: DateTime<Utc>) -> Form {
    Form {
        workspace_id,
        id: FormId::new(),
        name: String::new(),
        list_ids: Vec::new(),
        fields: Stored(Vec::new()),
        language: Language::default().tag().to_owned(),
        title: String::new(),
        text: None,
        button: None,
        wording: String::new(),
        success_message: None,
        redirect_url: None,
        double_opt_in: true,
        origins: Vec::new(),
        active: true,
        lapsed: 0,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Holds the form's lists against deletion until the transaction ends; all of them must exist.
fn keep_lists(conn: &mut PgConnection, form: &Form) -> Result<(), Error> {
    let mut check = Check::default();
    for (index, id) in form.list_ids.iter().enumerate() {
        if lists::keep(conn, form.workspace_id, *id)?.is_none() {
            let pointer = format!("/list_ids/{index}");
            check.refuse(&pointer, format!("the list {id} does not exist"));
        }
    }
    Ok(check.finish()?)
}

/// `GET /forms/{id}`
#[utoipa::path(
    get, path = "/api/v1/forms/{id}", tag = "leads", operation_id = "leads_forms_get",
    params(("id" = FormId, Path, description = "The form")),
    responses(
        (status = 200, description = "The form", body = FormView),
        (status = 404, description = "No such form", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<FormId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let (form, counts) = state
        .host
        .db
        .run(move |conn| {
            let form = store::forms::find(conn, workspace, id)?.ok_or(Error::FormNotFound(id))?;
            Ok::<_, Error>((form, submissions::counts(conn, workspace, &[id])?))
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(form.version))
        .json(FormView::of(form, &counts, &state)))
}

/// `PATCH /forms/{id}`
#[utoipa::path(
    patch, path = "/api/v1/forms/{id}", tag = "leads", operation_id = "leads_forms_update",
    params(("id" = FormId, Path, description = "The form")),
    request_body = FormBody,
    responses(
        (status = 200, description = "The form as it is now", body = FormView),
        (status = 404, description = "No such form", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    id: Path<FormId>,
    seen: IfMatch,
    body: Json<FormBody>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.host.clock.now());
    let body = body.into_inner();
    let (form, counts) = state
        .host
        .db
        .transaction(move |conn| {
            let held = store::forms::lock(conn, workspace, id)?.ok_or(Error::FormNotFound(id))?;
            if seen.0.is_some_and(|version| version != held.version) {
                return Err(Error::VersionMismatch);
            }
            let (mut form, mut check) = (held.clone(), Check::default());
            body.apply(&mut form, &mut check);
            check.finish()?;
            if form != held {
                keep_lists(conn, &form)?;
                form.version += 1;
                form.updated_at = now;
                store::forms::update(conn, &form)?;
            }
            Ok((form, submissions::counts(conn, workspace, &[id])?))
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(form.version))
        .json(FormView::of(form, &counts, &state)))
}

/// `DELETE /forms/{id}`: what was sent in it stays, and can still be confirmed.
#[utoipa::path(
    delete, path = "/api/v1/forms/{id}", tag = "leads", operation_id = "leads_forms_delete",
    params(("id" = FormId, Path, description = "The form")),
    responses(
        (status = 204, description = "The form is gone"),
        (status = 404, description = "No such form", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<FormId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let deleted = state
        .host
        .db
        .transaction(move |conn| Ok::<_, Error>(store::forms::delete(conn, workspace, id)?))
        .await?;
    match deleted {
        0 => Err(Error::FormNotFound(id)),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}
