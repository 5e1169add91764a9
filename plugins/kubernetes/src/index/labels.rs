//! Labels of pods: kept where somebody asks for them, and then once for all pods that have the same.

use crate::objects::AllLabels;

/// Which labels of pods are kept.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum KeptLabels {
    /// None.
    #[default]
    None,
    /// Those with these keys, sorted.
    Some(Vec<String>),
    /// All.
    All,
}

/// Labels that pods have.
#[derive(PartialEq, Eq, Hash)]
pub struct LabelSet {
    /// Keys with their values, by key.
    labels: Box<[(Box<str>, Box<str>)]>,
}

impl KeptLabels {
    /// Those labels that are kept; `None` where these are none.
    pub fn of(&self, labels: &AllLabels<'_>) -> Option<LabelSet> {
        let kept = |key: &str| match self {
            KeptLabels::None => false,
            KeptLabels::Some(keys) => keys.binary_search_by(|k| k.as_str().cmp(key)).is_ok(),
            KeptLabels::All => true,
        };
        let labels = labels.iter().filter(|(key, _)| kept(key)).map(|(key, value)| ((**key).into(), (**value).into()));
        let labels: Box<[_]> = labels.collect();
        (!labels.is_empty()).then_some(LabelSet { labels })
    }
}

impl LabelSet {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The value of the label with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| **k == *key).map(|(_, value)| &**value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let labels: AllLabels<'_> = [("a".into(), "1".into()), ("b/c".into(), "".into())].into();
        let keys = |keys: &[&str]| KeptLabels::Some(keys.iter().map(|&k| k.to_owned()).collect());
        assert!(KeptLabels::None.of(&labels).is_none() && keys(&["c", "d"]).of(&labels).is_none());
        let one = keys(&["b/c", "d"]).of(&labels).unwrap();
        assert_eq!((one.get("a"), one.get("b/c"), one.get("d")), (None, Some(""), None));
        let all = KeptLabels::All.of(&labels).unwrap();
        assert_eq!((all.get("a"), all.get("b/c")), (Some("1"), Some("")));
    }
}
