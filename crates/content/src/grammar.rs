//! The part of Jinja that a mail may use.
//!
//! A list of what is allowed, not of what is known to be dangerous: a construct
//! that a later version of the engine adds is refused until it is listed here.

use minijinja::machinery::{Span, ast};

use crate::filters;
use crate::problem::Fault;

/// Every construct in `root` that a mail may not use.
pub(crate) fn check(root: &ast::Stmt<'_>) -> Vec<Fault> {
    let mut walk = Walk { faults: Vec::new() };
    walk.stmt(root);
    walk.faults
}

struct Walk {
    faults: Vec<Fault>,
}

impl Walk {
    fn refuse(&mut self, span: Span, message: impl Into<String>) {
        self.faults.push(Fault::at(
            span.start_offset as usize,
            "template_not_allowed",
            message,
        ));
    }

    fn block(&mut self, stmts: &[ast::Stmt<'_>]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &ast::Stmt<'_>) {
        match stmt {
            ast::Stmt::Template(template) => self.block(&template.children),
            ast::Stmt::EmitRaw(_) => {}
            ast::Stmt::EmitExpr(emit) => self.value(&emit.expr),
            ast::Stmt::IfCond(cond) => {
                self.value(&cond.expr);
                self.block(&cond.true_body);
                self.block(&cond.false_body);
            }
            ast::Stmt::ForLoop(each) => self.for_loop(each),
            ast::Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.target(target);
                    self.value(value);
                }
                self.block(&with.body);
            }
            ast::Stmt::Set(set) => {
                self.target(&set.target);
                self.value(&set.expr);
            }
            ast::Stmt::SetBlock(set) => {
                self.refuse(set.span(), "`set` needs a value: write {% set name = … %}");
            }
            ast::Stmt::AutoEscape(block) => {
                self.refuse(
                    block.span(),
                    "`autoescape` cannot be changed; use the filter `safe`",
                );
            }
            ast::Stmt::FilterBlock(block) => {
                self.refuse(block.span(), "`filter` blocks are not available");
            }
            ast::Stmt::Do(call) => self.refuse(call.span(), "`do` is not available"),
        }
    }

    fn for_loop(&mut self, each: &ast::Spanned<ast::ForLoop<'_>>) {
        if each.recursive {
            self.refuse(each.span(), "recursive loops are not available");
        }
        self.loop_target(&each.target);
        self.list_or_value(&each.iter);
        if let Some(filter) = &each.filter_expr {
            self.value(filter);
        }
        self.block(&each.body);
        self.block(&each.else_body);
    }

    fn target(&mut self, target: &ast::Expr<'_>) {
        if !matches!(target, ast::Expr::Var(_)) {
            self.refuse(target.span(), "only a plain name can be set");
        }
    }

    /// `for key, value in …` unpacks; nothing else does.
    fn loop_target(&mut self, target: &ast::Expr<'_>) {
        match target {
            ast::Expr::List(names) => names.items.iter().for_each(|name| self.target(name)),
            name => self.target(name),
        }
    }

    /// Where a list literal lives no longer than the loop or the test around it.
    fn list_or_value(&mut self, expr: &ast::Expr<'_>) {
        match expr {
            ast::Expr::List(list) => list.items.iter().for_each(|item| self.value(item)),
            ast::Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.value(item)),
            other => self.value(other),
        }
    }

    fn value(&mut self, expr: &ast::Expr<'_>) {
        match expr {
            ast::Expr::Var(_) | ast::Expr::Const(_) => {}
            ast::Expr::GetAttr(attr) => self.value(&attr.expr),
            ast::Expr::GetItem(item) => {
                self.value(&item.expr);
                self.value(&item.subscript_expr);
            }
            ast::Expr::UnaryOp(unary) => self.value(&unary.expr),
            ast::Expr::BinOp(op) => self.operation(op),
            ast::Expr::Compare(chain) => {
                self.value(&chain.expr);
                chain.ops.iter().for_each(|op| self.list_or_value(&op.expr));
            }
            ast::Expr::IfExpr(choice) => self.choice(choice),
            ast::Expr::Filter(filter) => self.filter(filter),
            ast::Expr::Test(test) => self.test(test),
            ast::Expr::Slice(slice) => {
                self.refuse(
                    slice.span(),
                    "slices are not available; use `truncate` or `loop.index`",
                );
            }
            ast::Expr::Call(call) => self.refuse(call.span(), "functions cannot be called here"),
            ast::Expr::List(_) | ast::Expr::Tuple(_) | ast::Expr::Map(_) => {
                self.refuse(expr.span(), "a list can be written only after `in`");
            }
        }
    }

    fn operation(&mut self, op: &ast::Spanned<ast::BinOp<'_>>) {
        use ast::BinOpKind as Op;
        self.value(&op.left);
        match op.op {
            Op::In => self.list_or_value(&op.right),
            _ => self.value(&op.right),
        }
        match op.op {
            Op::Concat => {
                self.refuse(
                    op.span(),
                    "`~` is not available; write the values one after the other",
                );
            }
            Op::Add if !is_number(&op.left) && !is_number(&op.right) => {
                self.refuse(
                    op.span(),
                    "`+` adds numbers; make one side a number with `int` or `float`",
                );
            }
            Op::Mul if !is_number(&op.left) || !is_number(&op.right) => {
                self.refuse(
                    op.span(),
                    "`*` multiplies numbers; make both sides numbers with `int` or `float`",
                );
            }
            _ => {}
        }
    }

    /// Without `else` the engine cannot tell "nothing to print" from a missing variable.
    fn choice(&mut self, choice: &ast::Spanned<ast::IfExpr<'_>>) {
        self.value(&choice.test_expr);
        self.value(&choice.true_expr);
        match &choice.false_expr {
            Some(otherwise) => self.value(otherwise),
            None => self.refuse(
                choice.span(),
                "an inline `if` needs an `else`, such as else ''",
            ),
        }
    }

    fn filter(&mut self, filter: &ast::Spanned<ast::Filter<'_>>) {
        if !filters::NAMES.contains(&filter.name) {
            self.faults.push(Fault::at(
                filter.span().start_offset as usize,
                "unknown_filter",
                format!("there is no filter `{}`", filter.name),
            ));
        }
        if let Some(input) = &filter.expr {
            self.value(input);
        }
        self.args(filter.span(), &filter.args);
    }

    fn test(&mut self, test: &ast::Spanned<ast::Test<'_>>) {
        if !filters::TESTS.contains(&test.name) {
            self.faults.push(Fault::at(
                test.span().start_offset as usize,
                "unknown_test",
                format!("there is no test `is {}`", test.name),
            ));
        }
        self.value(&test.expr);
        self.args(test.span(), &test.args);
    }

    fn args(&mut self, span: Span, args: &[ast::CallArg<'_>]) {
        for arg in args {
            match arg {
                ast::CallArg::Pos(value) => self.value(value),
                _ => self.refuse(span, "arguments are written in order, without names"),
            }
        }
    }
}

/// Whether the value is a number for certain, whatever the recipient's data is.
fn is_number(expr: &ast::Expr<'_>) -> bool {
    use ast::BinOpKind as Op;
    match expr {
        ast::Expr::Const(constant) => constant.value.is_number(),
        ast::Expr::UnaryOp(unary) => {
            matches!(unary.op, ast::UnaryOpKind::Neg) && is_number(&unary.expr)
        }
        ast::Expr::BinOp(op) => match op.op {
            Op::Sub | Op::Div | Op::FloorDiv | Op::Rem | Op::Pow => true,
            Op::Add => is_number(&op.left) || is_number(&op.right),
            Op::Mul => is_number(&op.left) && is_number(&op.right),
            _ => false,
        },
        ast::Expr::Filter(filter) => filters::NUMERIC.contains(&filter.name),
        ast::Expr::GetAttr(attr) => {
            matches!(&attr.expr, ast::Expr::Var(var) if var.id == "loop")
                && matches!(
                    attr.name,
                    "index" | "index0" | "revindex" | "revindex0" | "length"
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use minijinja::machinery::parse;

    use super::*;

    fn faults(source: &str) -> Vec<Fault> {
        check(&parse(source, "", Default::default()).expect("the source must parse"))
    }

    #[test]
    fn what_marketers_write_is_allowed() {
        for source in [
            "{{ lead.first_name|default('there')|title }}",
            "{% if lead.score >= 50 and lead.plan in ['gold', 'silver'] %}x{% elif not a %}y{% endif %}",
            "{% for p in cart if p.price > 3 %}{{ loop.index + 1 }} {{ p['name'] }}{% else %}-{% endfor %}",
            "{% for x in [1, 2] %}{{ x }}{% endfor %}",
            "{{ 'a' if lead.vip else 'b' }}{% set n = lead.score|int * 2 %}{{ n - 1 }}",
            "{% with who = lead.first_name %}{{ who }}{% endwith %}{# a comment #}{% raw %}{{ x }}{% endraw %}",
            "{{ lead.score + 1 }}{{ lead.joined is defined }}{{ 3 * -2 }}",
        ] {
            assert_eq!(faults(source), [], "{source}");
        }
    }

    #[test]
    fn what_builds_values_or_reaches_outside_is_refused_where_it_stands() {
        for source in [
            "{{ a ~ b }}",
            "{{ a + b }}",
            "{{ a * 3 }}",
            "{{ 'x' * 1000000 }}",
            "{{ a|int * b }}",
            "{{ [1, 2] }}",
            "{{ {'a': 1} }}",
            "{{ (1, 2) }}",
            "{% set a = [1] %}",
            "{% set a.b = 1 %}",
            "{% set a, b = c %}",
            "{{ a[1:2] }}",
            "{{ range(9) }}",
            "{{ debug() }}",
            "{{ namespace() }}",
            "{{ loop.cycle(1, 2) }}",
            "{{ a.upper() }}",
            "{{ a|default(*b) }}",
            "{{ a|truncate(length=3) }}",
            "{% set a %}x{% endset %}",
            "{% filter upper %}x{% endfilter %}",
            "{% autoescape false %}x{% endautoescape %}",
            "{% do f() %}",
            "{% for a in b recursive %}x{% endfor %}",
            "{{ 'x' if y }}",
            "{{ '%1000000000s'|format('x') }}",
            "{{ a|pprint }}",
            "{{ a is sameas(b) }}",
        ] {
            let faults = faults(source);
            assert!(!faults.is_empty(), "{source} must be refused");
            assert!(
                faults.iter().all(|fault| fault.at.is_some()),
                "{source} must have a place"
            );
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let codes: Vec<_> = faults("{{ a ~ b }}{{ a|nope }}{{ f() }}")
            .iter()
            .map(|f| f.code)
            .collect();
        assert_eq!(
            codes,
            [
                "template_not_allowed",
                "unknown_filter",
                "template_not_allowed"
            ]
        );
    }
}
