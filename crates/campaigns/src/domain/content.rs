//! From what a person wrote to a checked template.

use chassis::InvalidInput;
use common::FieldError;
use content::{Compiled, Parts, Problem, Source};

/// Compiles subject, preheader and content; every fault is named with its place.
pub(crate) fn compile(
    subject: &str,
    preheader: &str,
    content: &Source,
) -> Result<Compiled, Vec<Problem>> {
    let preheader = Some(preheader).filter(|text| !text.is_empty());
    Compiled::compile(Parts {
        subject,
        preheader,
        source: content,
    })
}

/// Refuses content that does not compile.
pub(crate) fn check(subject: &str, preheader: &str, content: &Source) -> Result<(), InvalidInput> {
    match compile(subject, preheader, content) {
        Ok(_) => Ok(()),
        Err(problems) => Err(InvalidInput {
            code: "invalid_template",
            ..InvalidInput::fields(problems.into_iter().map(field_error).collect())
        }),
    }
}

fn field_error(problem: Problem) -> FieldError {
    let number = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok());
    FieldError {
        line: number(problem.line),
        column: number(problem.column),
        ..FieldError::new(problem.field.pointer(), problem.message)
    }
}
