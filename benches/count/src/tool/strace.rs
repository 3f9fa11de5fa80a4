//! strace: system calls, thread by thread.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use crate::counts::Counts;
use crate::run::Run;

/// Adds what the threads of a run asked of the system.
pub(crate) fn count(run: &Run<'_>, counts: &mut Counts) {
    let output = run.output("strace");
    let tool = ["strace", "-f", "-s", "0", "-o", &output.to_string_lossy()];
    run.under(&tool, true);
    let text = fs::read_to_string(&output).expect("strace wrote nothing");
    let mut threads = parse(&text);
    let reads = |calls: &Calls| calls.get("recvfrom").copied().unwrap_or(0);
    threads.sort_by_key(reads);
    let serving = threads.pop().expect("strace wrote nothing");
    assert!(reads(&serving) > 0, "no thread reads from a socket");
    add(&serving, &mut counts.serving.system_calls);
    threads.iter().for_each(|thread| add(thread, &mut counts.others.system_calls));
    fs::remove_file(&output).unwrap();
}

/// Calls by name.
type Calls = HashMap<String, u64>;

fn add(calls: &Calls, sum: &mut BTreeMap<String, f64>) {
    for (name, &count) in calls {
        *sum.entry(name.clone()).or_default() += count as f64;
    }
}

/// What each thread called. Lines are `THREAD name(…) = …`; the second half of a call that another
/// thread's line cut in two begins with `<...`, the end of a thread with `+++`, a signal with `---`.
fn parse(text: &str) -> Vec<Calls> {
    let mut threads: HashMap<&str, Calls> = HashMap::new();
    for line in text.lines() {
        let Some((thread, event)) = line.split_once(' ') else { continue };
        let Some((name, _)) = event.trim_start().split_once('(') else { continue };
        if name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_') {
            *threads.entry(thread).or_default().entry(name.to_owned()).or_default() += 1;
        }
    }
    threads.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_cut_in_two_counts_once() {
        let text = "71 epoll_wait(3,  <unfinished ...>\n\
            72 futex(0x5, FUTEX_WAKE_PRIVATE, 1) = 1\n\
            71 <... epoll_wait resumed>[{events=EPOLLIN}], 1024, -1) = 1\n\
            71 recvfrom(9, \"\"..., 8192, 0, NULL, NULL) = 844\n\
            71 --- SIGINT {si_signo=SIGINT, si_code=SI_USER (x)} ---\n\
            71 +++ exited with 0 +++\n";
        let mut threads = parse(text);
        threads.sort_by_key(HashMap::len);
        let calls = |names: &[&str]| names.iter().map(|&name| (name.to_owned(), 1)).collect();
        assert_eq!(threads, [calls(&["futex"]), calls(&["epoll_wait", "recvfrom"])]);
    }
}
