//! Parses a file into rows: CSV (RFC 4180, with a header) or JSON Lines.

use super::Candidate;
use super::row::{COLUMNS, Texts, parse};
use crate::account::import::error::Bad;
use guarita_core::Secret;

/// Maximum size of a file, in bytes.
pub const MAX_FILE: u64 = 64 << 20;
/// Maximum size of a row, in bytes.
const MAX_ROW: usize = 16 << 10;
/// Maximum number of rows.
const MAX_ROWS: usize = 50_000;
/// Maximum number of reported errors; then reading stops.
const MAX_BAD: usize = 50_000;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with a header that names the columns.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

/// The content of a file.
#[derive(Debug, Default)]
pub struct Rows {
    pub(super) candidates: Vec<Candidate>,
    pub(super) bad: Vec<Bad>,
}

impl Rows {
    fn refuse(&mut self, line: u64, reason: &str) {
        self.bad.push(Bad::new(line, "row", reason));
    }

    fn add(&mut self, line: u64, texts: &Texts) {
        self.candidates.extend(parse(line, texts, &mut self.bad));
    }

    /// Whether reading has stopped.
    fn is_full(&mut self, line: u64) -> bool {
        if self.candidates.len() >= MAX_ROWS {
            self.refuse(line, "there are more than 50,000 rows");
            return true;
        }
        self.bad.len() >= MAX_BAD
    }
}

/// Reads all rows. An error in one row does not prevent the others from being read.
pub fn read(format: Format, bytes: &[u8]) -> Rows {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match format {
        Format::Csv => read_csv(bytes),
        Format::JsonLines => read_json_lines(bytes),
    }
}

fn read_csv(bytes: &[u8]) -> Rows {
    let mut rows = Rows::default();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(_) => csv::ByteRecord::new(),
    };
    let Some(columns) = columns(&header, &mut rows) else { return rows };
    let mut record = csv::ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => return rows,
            Ok(true) => {}
            Err(_) => {
                rows.refuse(line, "cannot be read");
                return rows;
            }
        }
        let line = record.position().map_or(line, csv::Position::line);
        if rows.is_full(line) {
            return rows;
        }
        match texts(&columns, &record) {
            Ok(texts) => rows.add(line, &texts),
            Err(reason) => rows.refuse(line, reason),
        }
    }
}

/// The columns by position. An invalid header ends the reading; its names are not repeated in the error, because it
/// may be a row with personal data.
fn columns(header: &csv::ByteRecord, rows: &mut Rows) -> Option<Vec<&'static str>> {
    let mut columns = Vec::new();
    for (position, name) in header.iter().enumerate() {
        let known = COLUMNS.into_iter().find(|known| known.as_bytes() == name.trim_ascii());
        match known {
            Some(known) if columns.contains(&known) => {
                rows.refuse(1, &format!("the header has {known} twice"));
            }
            Some(known) => columns.push(known),
            None => {
                let place = position + 1;
                rows.refuse(1, &format!("column {place} of the header is not a known column"));
            }
        }
    }
    if rows.bad.is_empty() && !columns.contains(&"username") {
        rows.refuse(1, "the header has no column username");
    }
    rows.bad.is_empty().then_some(columns)
}

fn texts(columns: &[&'static str], record: &csv::ByteRecord) -> Result<Texts, &'static str> {
    if record.as_slice().len() > MAX_ROW {
        return Err("is longer than 16 KiB");
    }
    if record.len() != columns.len() {
        return Err("has a different number of fields than the header");
    }
    let mut texts = Texts::new();
    for (column, field) in columns.iter().zip(record) {
        let text = std::str::from_utf8(field).map_err(|_| "is not UTF-8")?.trim();
        if !text.is_empty() {
            texts.insert(column, Secret::new(text));
        }
    }
    Ok(texts)
}

fn read_json_lines(bytes: &[u8]) -> Rows {
    let mut rows = Rows::default();
    for (line, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        if rows.is_full(line) {
            break;
        }
        match object(bytes) {
            Ok(texts) => rows.add(line, &texts),
            Err(reason) => rows.refuse(line, &reason),
        }
    }
    rows
}

/// The members of an object. Errors of serde are dropped, because they may contain the text itself.
fn object(bytes: &[u8]) -> Result<Texts, String> {
    if bytes.len() > MAX_ROW {
        return Err("is longer than 16 KiB".to_owned());
    }
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|_| "is not a JSON object".to_owned())?;
    let mut texts = Texts::new();
    for (name, value) in object {
        let Some(column) = COLUMNS.into_iter().find(|known| *known == name) else {
            return Err("has a member that is not a known column".to_owned());
        };
        if let Some(text) = text(column, value)?.filter(|text| !text.is_empty()) {
            texts.insert(column, Secret::new(text));
        }
    }
    Ok(texts)
}

fn text(column: &str, value: serde_json::Value) -> Result<Option<String>, String> {
    use serde_json::Value;
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(flag) if matches!(column, "ativo" | "email_verified") => {
            Ok(Some(flag.to_string()))
        }
        Value::Array(names) if column == "roles" => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            let names = names.ok_or("roles must be a list of strings")?;
            Ok(Some(names.join(";")))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("{column} has a value of the wrong type"))
        }
    }
}
