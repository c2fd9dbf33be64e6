//! Parses the output of `strace -f -y -x`: system calls with the order in which they began and ended.

use std::path::Path;

/// A system call that has returned.
#[derive(Debug)]
pub struct Call {
    pub name: String,
    pub args: String,
    pub result: i64,
    /// The line at which it began, and that at which it had ended. strace lets no thread go on before it has
    /// written what the thread did: a call that ended on a line before another began on a later one came
    /// first.
    pub began: usize,
    pub ended: usize,
}

impl Call {
    /// The file behind its first argument, a descriptor that strace shows as `3</path>`.
    pub fn file(&self) -> &str {
        let first = self.args.split(", ").next().unwrap_or_default();
        first.split_once('<').map_or("", |(_, path)| path.trim_end_matches('>'))
    }

    /// The strings among its arguments, as bytes; strace may have cut them short.
    pub fn strings(&self) -> Vec<Vec<u8>> {
        let mut strings = Vec::new();
        let mut rest = self.args.as_str();
        while let Some((_, after)) = rest.split_once('"') {
            let (string, left) = unquote(after);
            strings.push(string);
            rest = left;
        }
        strings
    }

    /// Its last argument.
    pub fn last(&self) -> &str {
        self.args.rsplit(", ").next().unwrap_or_default()
    }

    /// Returns whether it ended before the other one began.
    pub fn is_before(&self, other: &Self) -> bool {
        self.ended < other.began
    }

    pub fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }
}

/// The bytes of a string whose opening quote was taken off, and what stands behind it.
fn unquote(text: &str) -> (Vec<u8>, &str) {
    let mut bytes = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (bytes, &text[at + 1..]),
            '\\' => match chars.next().map(|(_, escaped)| escaped) {
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).map(|(_, digit)| digit).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                }
                Some('n') => bytes.push(b'\n'),
                Some('r') => bytes.push(b'\r'),
                Some('t') => bytes.push(b'\t'),
                Some('f') => bytes.push(0x0c),
                Some('v') => bytes.push(0x0b),
                Some(other) => bytes.extend(other.to_string().bytes()),
                None => break,
            },
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    panic!("a string without an end: {text}");
}

/// Reads a trace. Calls stand in the order in which they ended; one that never returned is left out.
pub fn read(path: &Path) -> Vec<Call> {
    let trace = std::fs::read_to_string(path).expect("the trace");
    let mut calls = Vec::new();
    // By thread: the line at which a call began that others have interrupted, and its text so far.
    let mut unfinished: std::collections::BTreeMap<&str, (usize, &str)> = std::collections::BTreeMap::new();
    for (at, line) in trace.lines().enumerate() {
        let (thread, rest) = line.split_once(' ').expect("a thread, then what it did");
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (at, begun));
        } else if rest.starts_with("<... ") {
            let (_, after) = rest.split_once(" resumed>").expect("resumed");
            let (start, begun) = unfinished.remove(thread).expect("begun before");
            calls.extend(call(&format!("{begun}{after}"), start, at));
        } else {
            calls.extend(call(rest, at, at));
        }
    }
    calls
}

/// Parses `name(args) = result …`. Returns `None` for signals and exits, which are not calls.
fn call(text: &str, began: usize, ended: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let at = rest.rfind(") ")?;
    let result = rest[at + 1..].trim_start().strip_prefix("= ")?;
    let digits = result.split(|c: char| !c.is_ascii_digit() && c != '-').next()?;
    let (name, args) = (name.to_owned(), rest[..at].to_owned());
    Some(Call { name, args, result: digits.parse().ok()?, began, ended })
}
