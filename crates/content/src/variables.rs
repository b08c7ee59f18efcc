//! Which variables a template uses, and which it cannot do without.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use minijinja::machinery::{Span, ast};

/// How much a template needs a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Only tested, looped over, or replaced when missing.
    Optional,
    /// Printed, but only in some branches or in a loop.
    Conditional,
    /// Printed for every recipient, with nothing in its place when missing.
    Required,
}

type Paths = BTreeSet<String>;

/// What one template says about its variables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    pub(crate) needs: BTreeMap<String, Need>,
    /// The paths in each tag, by where the tag begins, so that a failure at an
    /// offset can name what was missing there.
    tags: BTreeMap<usize, Paths>,
    /// Every path that can reach the reader.
    pub(crate) printed: Paths,
}

impl Usage {
    pub(crate) fn of(root: &ast::Stmt<'_>) -> Self {
        let mut walk = Walk::default();
        let required = walk.stmt(root);
        for path in required {
            walk.usage.needs.insert(path, Need::Required);
        }
        walk.usage
    }

    /// The tag around `at`: where it begins, and the paths in it.
    pub(crate) fn tag_at(&self, at: usize) -> Option<(usize, &Paths)> {
        self.tags
            .range(..=at)
            .next_back()
            .map(|(start, paths)| (*start, paths))
    }
}

/// A name that the template itself defines.
#[derive(Clone, Default)]
struct Local {
    /// What must be there for the name to have a value.
    strict: Paths,
    touched: Paths,
}

/// What an expression reads.
#[derive(Default)]
struct Reads {
    /// Paths without which its result is missing.
    strict: Paths,
    /// Every path in it.
    touched: Paths,
}

impl Reads {
    fn path(path: String) -> Self {
        Self {
            strict: [path.clone()].into(),
            touched: [path].into(),
        }
    }

    fn and(mut self, other: Reads) -> Self {
        self.strict.extend(other.strict);
        self.touched.extend(other.touched);
        self
    }

    /// The other expression may not matter to the result.
    fn perhaps(mut self, other: Reads) -> Self {
        self.touched.extend(other.touched);
        self
    }

    /// The result is there whatever is missing.
    fn lenient(self) -> Self {
        Self {
            strict: Paths::new(),
            touched: self.touched,
        }
    }
}

#[derive(Default)]
struct Walk {
    usage: Usage,
    scopes: Vec<BTreeMap<String, Local>>,
}

impl Walk {
    /// The paths that must be there whenever these statements run.
    fn block(&mut self, stmts: &[ast::Stmt<'_>]) -> Paths {
        stmts.iter().flat_map(|stmt| self.stmt(stmt)).collect()
    }

    fn scoped(&mut self, names: BTreeMap<String, Local>, stmts: &[ast::Stmt<'_>]) -> Paths {
        self.scopes.push(names);
        let strict = self.block(stmts);
        self.scopes.pop();
        strict
    }

    fn stmt(&mut self, stmt: &ast::Stmt<'_>) -> Paths {
        match stmt {
            ast::Stmt::Template(template) => self.scoped(BTreeMap::new(), &template.children),
            ast::Stmt::EmitExpr(emit) => self.note(emit.span(), &emit.expr, true).strict,
            ast::Stmt::IfCond(cond) => self.if_block(cond),
            ast::Stmt::ForLoop(each) => {
                self.for_loop(each);
                Paths::new()
            }
            ast::Stmt::WithBlock(with) => {
                let mut names = BTreeMap::new();
                for (target, value) in &with.assignments {
                    names.extend(self.local(with.span(), target, value));
                }
                self.scoped(names, &with.body)
            }
            ast::Stmt::Set(set) => {
                let names = self.local(set.span(), &set.target, &set.expr);
                if let Some(scope) = self.scopes.last_mut() {
                    scope.extend(names);
                }
                Paths::new()
            }
            // The grammar refuses everything else.
            _ => Paths::new(),
        }
    }

    fn if_block(&mut self, cond: &ast::Spanned<ast::IfCond<'_>>) -> Paths {
        self.note(cond.span(), &cond.expr, false);
        let before = self.scopes.clone();
        let mut when_true = self.block(&cond.true_body);
        let after_true = std::mem::replace(&mut self.scopes, before.clone());
        let mut when_false = self.block(&cond.false_body);
        let after_false = std::mem::replace(&mut self.scopes, before);
        self.forget_changed(&after_true);
        self.forget_changed(&after_false);
        remove(&mut when_true, &self.facts(&cond.expr, true));
        remove(&mut when_false, &self.facts(&cond.expr, false));
        when_true.intersection(&when_false).cloned().collect()
    }

    /// A name set in one branch may mean two things afterwards: it stands for no path.
    fn forget_changed(&mut self, branch: &[BTreeMap<String, Local>]) {
        for (scope, changed) in self.scopes.iter_mut().zip(branch) {
            for (name, local) in changed {
                if scope
                    .get(name)
                    .is_none_or(|known| known.touched != local.touched)
                {
                    scope.insert(name.clone(), Local::default());
                }
            }
        }
    }

    fn for_loop(&mut self, each: &ast::Spanned<ast::ForLoop<'_>>) {
        self.note(each.span(), &each.iter, false);
        let mut names = BTreeMap::from([("loop".to_owned(), Local::default())]);
        for name in target_names(&each.target) {
            names.insert(name, Local::default());
        }
        if let Some(filter) = &each.filter_expr {
            self.scopes.push(names.clone());
            self.note(each.span(), filter, false);
            self.scopes.pop();
        }
        self.scoped(names, &each.body);
        self.block(&each.else_body);
    }

    fn local(
        &mut self,
        tag: Span,
        target: &ast::Expr<'_>,
        value: &ast::Expr<'_>,
    ) -> BTreeMap<String, Local> {
        let reads = self.note(tag, value, false);
        let local = Local {
            strict: reads.strict,
            touched: reads.touched,
        };
        target_names(target)
            .into_iter()
            .map(|name| (name, local.clone()))
            .collect()
    }

    /// Reads a whole expression and remembers where it stands.
    fn note(&mut self, tag: Span, expr: &ast::Expr<'_>, printed: bool) -> Reads {
        let reads = self.reads(expr);
        let need = if printed {
            Need::Conditional
        } else {
            Need::Optional
        };
        for path in &reads.touched {
            let known = self
                .usage
                .needs
                .entry(path.clone())
                .or_insert(Need::Optional);
            if reads.strict.contains(path) {
                *known = need.max(*known);
            }
        }
        if printed {
            self.usage.printed.extend(reads.touched.iter().cloned());
        }
        let paths = self
            .usage
            .tags
            .entry(tag.start_offset as usize)
            .or_default();
        paths.extend(reads.touched.iter().cloned());
        reads
    }

    fn reads(&self, expr: &ast::Expr<'_>) -> Reads {
        match expr {
            ast::Expr::Var(_) | ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) => self.lookup(expr),
            ast::Expr::Filter(filter) => self.filter(filter),
            ast::Expr::Test(test) => self.args(self.reads(&test.expr), &test.args).lenient(),
            ast::Expr::UnaryOp(unary) => match unary.op {
                ast::UnaryOpKind::Not => self.reads(&unary.expr).lenient(),
                ast::UnaryOpKind::Neg => self.reads(&unary.expr),
            },
            ast::Expr::BinOp(op) => self.operation(op),
            ast::Expr::Compare(chain) => chain
                .ops
                .iter()
                .fold(self.reads(&chain.expr), |reads, op| {
                    reads.and(self.reads(&op.expr))
                })
                .lenient(),
            ast::Expr::IfExpr(choice) => self.choice(choice),
            ast::Expr::List(list) => self.all(&list.items),
            ast::Expr::Tuple(tuple) => self.all(&tuple.items),
            _ => Reads::default(),
        }
    }

    fn all(&self, items: &[ast::Expr<'_>]) -> Reads {
        items
            .iter()
            .fold(Reads::default(), |reads, item| reads.and(self.reads(item)))
            .lenient()
    }

    fn args(&self, reads: Reads, args: &[ast::CallArg<'_>]) -> Reads {
        args.iter().fold(reads, |reads, arg| match arg {
            ast::CallArg::Pos(value) => reads.perhaps(self.reads(value)),
            _ => reads,
        })
    }

    fn filter(&self, filter: &ast::Filter<'_>) -> Reads {
        let input = filter
            .expr
            .as_ref()
            .map(|input| self.reads(input))
            .unwrap_or_default();
        let reads = self.args(input, &filter.args);
        match filter.name {
            "default" | "d" | "length" | "count" => reads.lenient(),
            _ => reads,
        }
    }

    fn operation(&self, op: &ast::BinOp<'_>) -> Reads {
        use ast::BinOpKind as Op;
        let (left, right) = (self.reads(&op.left), self.reads(&op.right));
        match op.op {
            Op::ScOr => left.lenient().perhaps(right),
            Op::ScAnd => left.perhaps(right),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::FloorDiv | Op::Rem | Op::Pow => {
                left.and(right)
            }
            _ => left.and(right).lenient(),
        }
    }

    fn choice(&self, choice: &ast::IfExpr<'_>) -> Reads {
        let test = self.reads(&choice.test_expr).lenient();
        let mut when_true = self.reads(&choice.true_expr);
        let mut when_false = choice
            .false_expr
            .as_ref()
            .map(|value| self.reads(value))
            .unwrap_or_default();
        remove(&mut when_true.strict, &self.facts(&choice.test_expr, true));
        remove(
            &mut when_false.strict,
            &self.facts(&choice.test_expr, false),
        );
        let strict = when_true
            .strict
            .intersection(&when_false.strict)
            .cloned()
            .collect();
        let mut touched = test.touched;
        touched.extend(when_true.touched);
        touched.extend(when_false.touched);
        Reads { strict, touched }
    }

    fn lookup(&self, expr: &ast::Expr<'_>) -> Reads {
        let mut reads = Reads::default();
        match path(expr) {
            Some(Path { root, dotted }) => match self.known(&root) {
                Some(local) if root == dotted => {
                    reads.strict.clone_from(&local.strict);
                    reads.touched.clone_from(&local.touched);
                }
                // An attribute of a local: where it comes from is not followed.
                Some(local) => reads.touched.clone_from(&local.touched),
                None => reads = Reads::path(dotted),
            },
            None => {}
        }
        self.subscripts(expr, reads)
    }

    /// Adds what is read only to choose an item.
    fn subscripts(&self, expr: &ast::Expr<'_>, reads: Reads) -> Reads {
        match expr {
            ast::Expr::GetAttr(attr) => match path(expr) {
                Some(_) => reads,
                None => reads.and(self.reads(&attr.expr)),
            },
            ast::Expr::GetItem(item) => {
                let reads = match path(expr) {
                    Some(_) => reads,
                    None => reads.and(self.reads(&item.expr)),
                };
                reads.perhaps(self.reads(&item.subscript_expr))
            }
            _ => reads,
        }
    }

    fn known(&self, name: &str) -> Option<&Local> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// The paths that surely have a value when `test` turned out to be `outcome`.
    fn facts(&self, test: &ast::Expr<'_>, outcome: bool) -> Paths {
        match test {
            ast::Expr::Var(_) | ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) if outcome => {
                self.reads(test).strict
            }
            ast::Expr::UnaryOp(unary) if matches!(unary.op, ast::UnaryOpKind::Not) => {
                self.facts(&unary.expr, !outcome)
            }
            ast::Expr::Test(is) => match (is.name, outcome) {
                ("defined" | "string" | "number", true) => self.reads(&is.expr).strict,
                ("undefined" | "none", false) => self.reads(&is.expr).strict,
                _ => Paths::new(),
            },
            ast::Expr::BinOp(op) => self.facts_of(op, outcome),
            _ => Paths::new(),
        }
    }

    fn facts_of(&self, op: &ast::BinOp<'_>, outcome: bool) -> Paths {
        use ast::BinOpKind as Op;
        let both = |walk: &Self| {
            (
                walk.facts(&op.left, outcome),
                walk.facts(&op.right, outcome),
            )
        };
        match (op.op, outcome) {
            (Op::ScAnd, true) | (Op::ScOr, false) => {
                let (left, right) = both(self);
                &left | &right
            }
            (Op::ScOr, true) | (Op::ScAnd, false) => {
                let (left, right) = both(self);
                &left & &right
            }
            (Op::Eq, true) if is_text(&op.right) => self.reads(&op.left).strict,
            (Op::Eq, true) if is_text(&op.left) => self.reads(&op.right).strict,
            _ => Paths::new(),
        }
    }
}

fn remove(paths: &mut Paths, known: &Paths) {
    paths.retain(|path| !known.contains(path));
}

fn is_text(expr: &ast::Expr<'_>) -> bool {
    matches!(expr, ast::Expr::Const(constant)
        if constant.value.as_str().is_some_and(|text| !text.is_empty()))
}

fn target_names(target: &ast::Expr<'_>) -> Vec<String> {
    match target {
        ast::Expr::Var(var) => vec![var.id.to_owned()],
        ast::Expr::List(list) => list.items.iter().flat_map(target_names).collect(),
        _ => Vec::new(),
    }
}

struct Path {
    root: String,
    dotted: String,
}

/// `lead.attributes['plan']` is the path `lead.attributes.plan`. An item chosen
/// by number or by another variable belongs to the path of its list.
fn path(expr: &ast::Expr<'_>) -> Option<Path> {
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

#[cfg(test)]
mod tests {
    use minijinja::machinery::parse;

    use super::*;

    fn needs(source: &str) -> Vec<(String, Need)> {
        let root = parse(source, "", Default::default()).expect("the source must parse");
        Usage::of(&root).needs.into_iter().collect()
    }

    fn check(source: &str, expected: &[(&str, Need)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(p, n)| ((*p).to_owned(), *n))
            .collect();
        assert_eq!(needs(source), expected, "{source}");
    }

    use Need::{Conditional, Optional, Required};

    #[test]
    fn a_printed_variable_is_required_unless_something_stands_in_for_it() {
        check("{{ lead.first_name }}", &[("lead.first_name", Required)]);
        check(
            "{{ lead['attributes']['plan'] }}",
            &[("lead.attributes.plan", Required)],
        );
        check(
            "{{ lead.name|title|default('x') }}",
            &[("lead.name", Optional)],
        );
        check("{{ lead.name or 'x' }}", &[("lead.name", Optional)]);
        check("{{ lead.name|upper }}", &[("lead.name", Required)]);
        check("{{ lead.score|int + 1 }}", &[("lead.score", Required)]);
        check("{{ a|default(b) }}", &[("a", Optional), ("b", Optional)]);
        check("{{ tags|length }}", &[("tags", Optional)]);
        check("{{ lead.tags[0] }}", &[("lead.tags", Required)]);
        check(
            "{{ prices[lead.plan] }}",
            &[("lead.plan", Optional), ("prices", Required)],
        );
    }

    #[test]
    fn a_branch_requires_only_what_every_branch_requires() {
        check(
            "{% if lead.locale == 'de' %}Hallo {{ a }}{{ b }}{% else %}Hi {{ a }}{% endif %}",
            &[
                ("a", Required),
                ("b", Conditional),
                ("lead.locale", Optional),
            ],
        );
        check("{% if a %}{{ a }}{% endif %}", &[("a", Conditional)]);
        check(
            "{% if a %}{{ a }}{% else %}{{ a }}{% endif %}",
            &[("a", Conditional)],
        );
        check("{{ a if a else 'x' }}", &[("a", Optional)]);
        check("{{ a if b else a }}", &[("a", Required), ("b", Optional)]);
        check(
            "{% if not a %}x{% else %}{{ a }}{% endif %}{{ b }}",
            &[("a", Conditional), ("b", Required)],
        );
    }

    #[test]
    fn a_loop_may_run_zero_times_and_its_names_are_its_own() {
        check(
            "{% for p in cart %}{{ p.name }}{{ loop.index }}{{ who }}{% endfor %}",
            &[("cart", Optional), ("who", Conditional)],
        );
        check(
            "{% for p in cart %}{% endfor %}{{ p }}",
            &[("cart", Optional), ("p", Required)],
        );
    }

    #[test]
    fn a_set_name_stands_for_what_it_was_set_from() {
        check("{% set n = lead.name %}{{ n }}", &[("lead.name", Required)]);
        check(
            "{% set n = lead.name|default('x') %}{{ n }}",
            &[("lead.name", Optional)],
        );
        check(
            "{% with n = lead.name %}{{ n }}{% endwith %}",
            &[("lead.name", Required)],
        );
        check("{% set n = lead.name %}x", &[("lead.name", Optional)]);
        check(
            "{% set n = 'x' %}{% if a %}{% set n = b %}{% endif %}{{ n }}",
            &[("a", Optional), ("b", Optional)],
        );
    }

    #[test]
    fn an_offset_finds_the_paths_around_it() {
        let source = "Hi {{ lead.name|upper }} and {{ b }}";
        let root = parse(source, "", Default::default()).expect("the source must parse");
        let usage = Usage::of(&root);
        assert_eq!(
            usage.tag_at(16),
            Some((3, &Paths::from(["lead.name".to_owned()])))
        );
        assert_eq!(usage.tag_at(32), Some((29, &Paths::from(["b".to_owned()]))));
        assert_eq!(usage.tag_at(0), None);
    }
}
