//! callgrind: instructions in user space, and calls of one function by another, thread by thread.

use std::collections::HashMap;
use std::fs;

use crate::counts::Counts;
use crate::run::Run;

/// Adds what the threads of a run did.
pub(crate) fn count(run: &Run<'_>, counts: &mut Counts) {
    let output = run.output("callgrind");
    let option = format!("--callgrind-out-file={}", output.display());
    let tool =
        ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--dump-line=no", &option];
    run.under(&tool, false);

    let mut threads: Vec<Thread> = Vec::new();
    for entry in fs::read_dir(&run.ground.folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The file without a number is empty.
        if name.starts_with("callgrind") {
            let text = fs::read_to_string(&path).unwrap();
            threads.extend(name.starts_with("callgrind-").then(|| Thread::parse(&text)));
            fs::remove_file(&path).unwrap();
        }
    }
    threads.sort_by_key(|thread| thread.reads);
    let serving = threads.pop().expect("callgrind wrote nothing");
    assert!(serving.reads > 0, "no thread reads from a socket");
    counts.serving.instructions = serving.instructions as f64;
    counts.serving.allocations = serving.allocations as f64;
    counts.others.instructions = threads.iter().map(|thread| thread.instructions as f64).sum();
    counts.others.allocations = threads.iter().map(|thread| thread.allocations as f64).sum();
}

/// What a file of callgrind says of its thread.
#[derive(Debug, Default, PartialEq)]
struct Thread {
    instructions: u64,
    /// Calls of an allocator by somebody else.
    allocations: u64,
    /// Calls of `recv`.
    reads: u64,
}

impl Thread {
    fn parse(text: &str) -> Self {
        let mut thread = Self::default();
        // A name is written once, and then only its number.
        let mut names: HashMap<&str, &str> = HashMap::new();
        let (mut caller, mut callee) = ("", "");
        for line in text.lines() {
            let Some((key, value)) = line.split_once(['=', ':']) else { continue };
            match key {
                "fn" => caller = name(value, &mut names),
                "cfn" => callee = name(value, &mut names),
                "calls" => {
                    let count = value.split(' ').next().unwrap().parse::<u64>().unwrap();
                    if allocates(callee) && !is_of_allocator(caller) {
                        thread.allocations += count;
                    }
                    if callee == "recv" {
                        thread.reads += count;
                    }
                }
                "totals" => thread.instructions = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        thread
    }
}

/// The name of a function, `(7) name` or `(7)`; a level of recursion (`name'2`) is not told apart.
fn name<'a>(value: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    let Some((number, name)) = value.split_once(' ') else { return names[value] };
    let name = name.split('\'').next().unwrap_or(name);
    names.insert(number, name);
    name
}

/// What glibc and mimalloc allocate by; `realloc` too.
fn allocates(function: &str) -> bool {
    let of_c = ["malloc", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign"];
    of_c.contains(&function) || (function.starts_with("mi_") && function.contains("alloc"))
}

fn is_of_allocator(function: &str) -> bool {
    let inside = ["mi_", "_mi_", "_mid_memalign"];
    allocates(function) || inside.iter().any(|prefix| function.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_allocator_by_others_are_allocations() {
        let text = "version: 1\nthread: 2\nevents: Ir\nsummary: 9\n\n\
            ob=(3) /lib/libc.so\nfl=(1) a.c\nfn=(8) main\n0 5\ncfi=(2) b.c\ncfn=(9) mi_malloc_aligned\n\
            calls=3 0\n0 60\ncfn=(10) recv\ncalls=2 0\n0 8\ncfn=(11) malloc\ncalls=4 0\n0 9\n\n\
            fn=(9)\n0 7\ncfn=(12) mi_malloc\ncalls=3 0\n0 9\n\n\
            fn=(15) _mid_memalign.constprop.0\n0 7\ncfn=(11)\ncalls=2 0\n0 9\n\n\
            fn=(13) grow'2\n0 7\ncfn=(14) realloc'2\ncalls=5 0\n0 9\ncfn=(9)\ncalls=6 0\n0 9\n\n\
            totals: 77412\n";
        let thread = Thread::parse(text);
        assert_eq!(thread, Thread { instructions: 77_412, allocations: 3 + 4 + 5 + 6, reads: 2 });
    }
}
