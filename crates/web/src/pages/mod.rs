//! The hosted pages: rendered here, without a script, in three languages.
//!
//! Each page is a template next to the file that serves it; all use `layout.html`. The actions are those of the
//! JSON endpoints. To add a page: its texts in `words`, a template, a file with `routes`, its path in
//! `super::path`.

mod texts;
pub mod settings;
mod form;
mod page;
mod style;
mod device;
mod sign_in;
mod links;
mod account;
mod error;
pub mod router;

pub use error::with_pages;
pub use router::{PagesState, routes, routes_to_providers};
pub use settings::{Colour, Logo, PageSettings};
