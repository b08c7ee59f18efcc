use minijinja::Value;
use minijinja::machinery::ast;

/// A chain of names, such as `lead.attributes.plan`.
pub(super) struct Path {
    pub(super) root: String,
    pub(super) dotted: String,
}

/// `lead.attributes['plan']` is the path `lead.attributes.plan`. An item chosen
/// by number or by another variable belongs to the path of its list.
pub(super) fn path(expr: &ast::Expr<'_>) -> Option<Path> {
    match expr {
        ast::Expr::Var(var) => Some(Path {
            root: var.id.to_owned(),
            dotted: var.id.to_owned(),
        }),
        ast::Expr::GetAttr(attr) => path(&attr.expr).map(|outer| outer.then(attr.name)),
        ast::Expr::GetItem(item) => {
            let outer = path(&item.expr)?;
            match constant_text(&item.subscript_expr) {
                Some(name) => Some(outer.then(&name)),
                None => Some(outer),
            }
        }
        _ => None,
    }
}

impl Path {
    fn then(mut self, name: &str) -> Self {
        self.dotted = format!("{}.{name}", self.dotted);
        self
    }
}

fn constant_text(expr: &ast::Expr<'_>) -> Option<String> {
    let ast::Expr::Const(constant) = expr else {
        return None;
    };
    Value::as_str(&constant.value).map(str::to_owned)
}
