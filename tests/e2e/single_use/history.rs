//! What was done with credentials, and whether each was consumed at most once.
//!
//! A history is judged as if every operation took effect at one moment between its beginning and its end.
//! What the answer does not say may have taken effect or not.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a credential promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// One use succeeds. Where it has levels (the steps of TOTP), the use of one spends those below too.
    Once,
    /// All uses yield the same.
    Same,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It succeeded, with this.
    Yielded(String),
    /// The credential counts no more.
    Refused,
    /// The answer was lost, or said that nobody knows.
    Unknown,
}

/// One use of a credential.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) credential: String,
    pub(crate) promise: Promise,
    pub(crate) level: u64,
    #[expect(dead_code, reason = "who reads of a violation is told")]
    pub(crate) node: usize,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    pub(crate) outcome: Outcome,
}

impl Operation {
    fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Yielded(_))
    }
}

/// What breaks a promise, in words; empty where none is broken. It never complains of a history that can be.
pub(crate) fn violations(history: &[Operation]) -> Vec<String> {
    let mut by_credential: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        by_credential.entry(&operation.credential).or_default().push(operation);
    }
    let mut found = Vec::new();
    // What was yielded, and for which credential.
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (credential, operations) in &by_credential {
        let wrong = match operations.first().map(|first| first.promise) {
            Some(Promise::Once) => once(operations),
            Some(Promise::Same) => same(operations),
            None => Vec::new(),
        };
        found.extend(wrong.into_iter().map(|wrong| format!("{credential}: {wrong}")));
        for operation in operations.iter().filter(|it| it.promise == Promise::Same) {
            let Outcome::Yielded(what) = &operation.outcome else { continue };
            let owner = owners.entry(what).or_insert(credential);
            if owner != credential {
                found.push(format!("{credential} and {owner} yielded the same"));
            }
        }
    }
    found
}

fn once(operations: &[&Operation]) -> Vec<String> {
    let mut found = Vec::new();
    let succeeded: Vec<_> = operations.iter().filter(|it| it.succeeded()).collect();
    for (number, one) in succeeded.iter().enumerate() {
        for other in &succeeded[number + 1..] {
            if one.level == other.level {
                found.push(format!("used twice: {one:?} and {other:?}"));
            }
            let (low, high) = if one.level < other.level { (one, other) } else { (other, one) };
            if low.level < high.level && high.ended < low.began {
                found.push(format!("{low:?} succeeded after {high:?}"));
            }
        }
    }
    for refused in operations.iter().filter(|it| it.outcome == Outcome::Refused) {
        // Whatever spent it began before the refusal ended. What succeeded itself was unspent until then.
        let spends = |it: &&&Operation| {
            it.outcome != Outcome::Refused && it.level >= refused.level && it.began <= refused.ended
        };
        let own = succeeded.iter().find(|it| it.level == refused.level);
        let is_early = own.is_some_and(|own| refused.ended < own.began);
        if is_early || !operations.iter().any(|it| spends(&it)) {
            found.push(format!("lost, nobody had used it: {refused:?}"));
        }
    }
    found
}

fn same(operations: &[&Operation]) -> Vec<String> {
    let mut found = Vec::new();
    let mut yielded = operations.iter().filter(|it| it.succeeded());
    if let Some(first) = yielded.next() {
        for other in yielded.filter(|other| other.outcome != first.outcome) {
            found.push(format!("two successors: {first:?} and {other:?}"));
        }
    }
    for refused in operations.iter().filter(|it| it.outcome == Outcome::Refused) {
        found.push(format!("lost: {refused:?}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(promise: Promise, level: u64, span: (u64, u64), outcome: Outcome) -> Operation {
        let (began, ended) = (Duration::from_millis(span.0), Duration::from_millis(span.1));
        Operation { credential: "c".into(), promise, level, node: 0, began, ended, outcome }
    }

    fn used(span: (u64, u64)) -> Operation {
        operation(Promise::Once, 0, span, Outcome::Yielded(String::new()))
    }

    fn refused(span: (u64, u64)) -> Operation {
        operation(Promise::Once, 0, span, Outcome::Refused)
    }

    fn unknown(span: (u64, u64)) -> Operation {
        operation(Promise::Once, 0, span, Outcome::Unknown)
    }

    fn yielded(what: &str) -> Operation {
        operation(Promise::Same, 0, (0, 1), Outcome::Yielded(what.into()))
    }

    #[test]
    fn a_double_use_is_found_whatever_lies_between() {
        for history in [
            vec![used((0, 1)), used((2, 3))],
            vec![used((0, 9)), used((1, 8))],
            vec![used((0, 1)), unknown((0, 9)), refused((1, 2)), used((20, 30))],
        ] {
            let found = violations(&history);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("used twice"), "{found:?}");
        }
    }

    #[test]
    fn one_use_among_refusals_and_lost_answers_is_well() {
        for history in [
            vec![used((0, 5)), refused((1, 2)), refused((6, 7))],
            vec![unknown((0, 5)), refused((3, 4)), refused((6, 7))],
            vec![unknown((0, 5)), used((6, 7)), refused((6, 8))],
            vec![unknown((0, 1)), unknown((2, 3))],
        ] {
            assert_eq!(violations(&history), [""; 0]);
        }
    }

    #[test]
    fn what_nobody_used_and_is_refused_was_lost() {
        for history in [
            vec![refused((0, 1))],
            vec![refused((0, 1)), used((2, 3))],
            vec![refused((0, 1)), unknown((2, 3))],
            // The lost answer cannot have been the use: the success came after it.
            vec![unknown((0, 1)), refused((2, 3)), used((4, 5))],
        ] {
            let found = violations(&history);
            assert_eq!(found.len(), 1, "{history:?}");
            assert!(found[0].contains("lost"), "{found:?}");
        }
    }

    #[test]
    fn a_later_step_spends_those_before() {
        let step = |level, span, outcome| operation(Promise::Once, level, span, outcome);
        let good = || Outcome::Yielded(String::new());
        let well =
            [step(1, (0, 1), good()), step(2, (2, 3), good()), step(1, (4, 5), Outcome::Refused)];
        assert_eq!(violations(&well), [""; 0]);
        let spent = [step(2, (0, 1), good()), step(1, (2, 3), Outcome::Refused)];
        assert_eq!(violations(&spent), [""; 0]);
        let wrong = [step(2, (0, 1), good()), step(1, (2, 3), good())];
        assert_eq!(violations(&wrong).len(), 1);
        let beside = [step(2, (0, 3), good()), step(1, (2, 4), good())];
        assert_eq!(violations(&beside), [""; 0]);
        let twice = [step(2, (0, 1), good()), step(2, (2, 3), good())];
        assert_eq!(violations(&twice).len(), 1);
    }

    #[test]
    fn a_refresh_token_has_one_successor_and_shares_it_with_no_other() {
        assert_eq!(violations(&[yielded("a"), yielded("a")]), [""; 0]);
        assert!(violations(&[yielded("a"), yielded("b")])[0].contains("two successors"));
        let other = Operation { credential: "d".into(), ..yielded("a") };
        assert!(violations(&[yielded("a"), other])[0].contains("yielded the same"));
        let refused = Operation { outcome: Outcome::Refused, ..yielded("a") };
        assert!(violations(&[yielded("a"), refused])[0].contains("lost"));
        let unknown = Operation { outcome: Outcome::Unknown, ..yielded("a") };
        assert_eq!(violations(&[unknown, yielded("a")]), [""; 0]);
    }
}
