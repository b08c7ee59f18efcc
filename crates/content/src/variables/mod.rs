//! Which variables a template uses, and which it cannot do without.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::machinery::{Span, ast};

use self::path::{Path, path};

mod path;

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
        let Some(Path { root, dotted }) = path(expr) else {
            return self.subscripts(expr, Reads::default());
        };
        let reads = match self.known(&root) {
            Some(local) => Reads {
                // Where an attribute of a local comes from is not followed.
                strict: if root == dotted {
                    local.strict.clone()
                } else {
                    Paths::new()
                },
                touched: local.touched.clone(),
            },
            None => Reads::path(dotted),
        };
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

#[cfg(test)]
mod tests;
