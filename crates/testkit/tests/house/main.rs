//! Rules that no compiler knows: who may depend on whom, under which licences, and that what is
//! under `deploy/` and in the image recipes says what is true of the code.

mod dependencies;
mod deployment;
mod images;
mod scripts;
mod security;
mod sources;
mod variables;
mod workflows;
mod workspace;
