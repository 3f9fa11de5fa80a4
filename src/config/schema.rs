//! The JSON Schema of the configuration file (draft 2020-12), derived from [`RawConfig`].

use std::sync::LazyLock;

use serde_json::Value;

use super::written::RawConfig;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(RawConfig).to_value();
    tidy(&mut schema);
    schema
});

/// The schema.
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// The schema as indented text, as `guarita schema` prints it.
pub fn text() -> String {
    format!("{:#}\n", schema())
}

/// Removes null types and integer formats, which TOML does not have.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(keys) => {
            keys.remove("format");
            if let Some(Value::Array(types)) = keys.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [kind] = types.as_slice() {
                    let kind = kind.clone();
                    keys.insert("type".to_owned(), kind);
                }
            }
            if let Some(Value::Array(mut alternatives)) = keys.remove("anyOf") {
                alternatives.retain(|kind| kind.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = alternatives.as_slice() {
                    for (key, value) in only {
                        keys.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                } else {
                    keys.insert("anyOf".to_owned(), Value::Array(alternatives));
                }
            }
            keys.values_mut().for_each(tidy);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Follows `$ref`.
pub(super) fn follow(mut node: &'static Value) -> &'static Value {
    while let Some(Value::String(target)) = node.get("$ref") {
        let Some(found) = target.strip_prefix('#').and_then(|path| schema().pointer(path)) else {
            break;
        };
        node = found;
    }
    node
}

/// The schema of the key at this path, through tables only.
pub(super) fn find<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'static Value> {
    names.into_iter().try_fold(schema(), |node, name| {
        follow(node).get("properties").and_then(|keys| keys.get(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described() {
        fn walk(node: &Value, path: &str) {
            if let Some(Value::Object(keys)) = node.get("properties") {
                for (key, value) in keys {
                    assert!(value.get("description").is_some(), "{path}.{key}");
                    walk(value, &format!("{path}.{key}"));
                }
            }
        }
        walk(schema(), "");
        let definitions = schema()["$defs"].as_object().unwrap();
        for (name, definition) in definitions {
            walk(definition, name);
        }
        assert!(definitions.len() > 10);
    }

    #[test]
    fn unknown_keys_are_refused_everywhere_and_null_is_nowhere() {
        let text = text();
        let objects = text.matches("\"properties\"").count();
        assert_eq!(text.matches("\"additionalProperties\": false").count(), objects);
        assert!(!text.contains("\"null\""));
    }

    #[test]
    fn bounds_of_numbers_are_in_the_schema() {
        let failures = find(["lockout", "failures"]).unwrap();
        assert_eq!(failures["minimum"], 1);
        assert_eq!(failures["maximum"], 1000);
    }
}
