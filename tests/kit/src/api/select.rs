//! Label and field selectors, as the API has them in a request's query.

use serde_json::Value;

/// Which objects of a kind a request is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) namespace: Option<String>,
    pub(super) labels: String,
    pub(super) fields: String,
}

impl Selection {
    /// Whether there is no label or field selector.
    pub(super) fn is_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether this object is among them.
    pub(super) fn has(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let there = self.namespace.as_deref().is_none_or(|n| metadata["namespace"].as_str() == Some(n));
        there && labels(&self.labels, &metadata["labels"]) && fields(&self.fields, object)
    }
}

/// `a=b`, `a==b`, `a!=b`, `a in (b, c)`, `a notin (b)`, `a`, `!a`, with commas between.
fn labels(selector: &str, labels: &Value) -> bool {
    requirements(selector).into_iter().all(|part| {
        let value = |key: &str| labels[key.trim()].as_str();
        let one_of = |list: &str, v: Option<&str>| {
            let list = list.trim().trim_start_matches('(').trim_end_matches(')');
            v.is_some_and(|v| list.split(',').any(|item| item.trim() == v))
        };
        if let Some((key, list)) = part.split_once(" notin ") {
            !one_of(list, value(key))
        } else if let Some((key, list)) = part.split_once(" in ") {
            one_of(list, value(key))
        } else if let Some((key, wanted)) = part.split_once("!=") {
            value(key) != Some(wanted)
        } else if let Some((key, wanted)) = part.split_once('=') {
            value(key) == Some(wanted.trim_start_matches('='))
        } else if let Some(key) = part.strip_prefix('!') {
            value(key).is_none()
        } else {
            value(part).is_some()
        }
    })
}

/// The parts between commas that are not inside parentheses.
fn requirements(selector: &str) -> Vec<&str> {
    let (mut out, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(selector[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(selector[start..].trim());
    out.retain(|part| !part.is_empty());
    out
}

/// `path=value`, `path!=value`, with commas between; a field that is not there is empty.
fn fields(selector: &str, object: &Value) -> bool {
    selector.split(',').filter(|part| !part.is_empty()).all(|part| {
        let (path, wanted, equal) = match part.split_once("!=") {
            Some((path, wanted)) => (path, wanted, false),
            None => part.split_once('=').map_or((part, "", true), |(p, w)| (p, w.trim_start_matches('='), true)),
        };
        let found = path.split('.').fold(object, |at, key| &at[key]).as_str().unwrap_or("");
        (found == wanted) == equal
    })
}

#[cfg(test)]
mod tests {
    use super::{fields, labels};
    use serde_json::json;

    #[test]
    fn label_selectors() {
        let l = json!({"app": "web", "tier": "front"});
        for yes in ["", "app=web", "app==web,tier", "app!=db", "app in (db, web),tier=front", "app notin (db)", "!zone"]
        {
            assert!(labels(yes, &l), "{yes}");
        }
        for no in ["app=db", "zone", "!app", "app notin (web,db)", "zone in (a)", "app=web,tier=back"] {
            assert!(!labels(no, &l), "{no}");
        }
    }

    #[test]
    fn field_selectors() {
        let o = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        assert!(fields("metadata.name=a,status.phase!=Failed,spec.x=", &o));
        assert!(!fields("metadata.name!=a", &o));
    }
}
