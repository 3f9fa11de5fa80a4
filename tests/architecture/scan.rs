//! A source file as the rules see it: its words without comments and texts, and the paths in it.

/// A path as it is written, with where it leads.
#[derive(Clone, Debug)]
pub(crate) struct CodePath {
    /// The line it ends on, from 1.
    pub(crate) line: usize,
    /// Its segments; groups of a `use` are written out.
    pub(crate) written: Vec<String>,
    /// From the root of our own crate, where it begins with `crate`, `self` or `super`.
    pub(crate) absolute: Option<Vec<String>>,
    /// Whether a `use` brings it in.
    pub(crate) is_use: bool,
}

impl CodePath {
    /// Whether the first segments are these.
    pub(crate) fn starts_with(&self, segments: &[&str]) -> bool {
        self.written.len() >= segments.len()
            && self.written.iter().zip(segments).all(|(own, wanted)| own == wanted)
    }

    /// Whether the last segments are these.
    pub(crate) fn ends_with(&self, segments: &[&str]) -> bool {
        self.written.len() >= segments.len()
            && self
                .written
                .iter()
                .rev()
                .zip(segments.iter().rev())
                .all(|(own, wanted)| own == wanted)
    }
}

/// A word or a mark, with its line.
#[derive(Clone, Debug)]
struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// A field of a type that is printed or sent by derive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) line: usize,
    /// Its own name; of one without, that of its variant or of the type.
    pub(crate) name: String,
    /// The words of its type.
    pub(crate) words: Vec<String>,
}

/// One source file.
pub(crate) struct Source {
    module: Vec<String>,
    tokens: Vec<Token>,
    paths: Vec<CodePath>,
    lines: usize,
    /// The first line of the tests.
    tests: Option<usize>,
}

impl Source {
    /// Reads a file by its path from the root.
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let module = module(file);
        let tokens = tokens(&without_comments_and_texts(text));
        let paths = Paths { tokens: &tokens, module: &module, found: Vec::new() }.read();
        let tests = if is_test_file(file) { Some(1) } else { first_line_of_tests(text) };
        Self { module, tokens, paths, lines: text.lines().count(), tests }
    }

    /// The module that the file holds; empty for the root.
    pub(crate) fn module(&self) -> &[String] {
        &self.module
    }

    /// All paths, also single names.
    pub(crate) fn paths(&self) -> &[CodePath] {
        &self.paths
    }

    /// The modules it declares, each with its line.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens
            .iter()
            .zip(self.tokens.iter().skip(1))
            .filter(|(word, name)| word.text == "mod" && name.is_word())
            .map(|(_, name)| (name.line, name.text.as_str()))
    }

    /// The fields of types that derive one of the traits.
    pub(crate) fn fields_of_types_that_derive(&self, traits: &[&str]) -> Vec<Field> {
        Types { tokens: &self.tokens, at: 0, found: Vec::new() }.read(traits)
    }

    /// Whether the line is test code.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests.is_some_and(|first| line >= first)
    }

    /// How long the file is without the tests at its end.
    pub(crate) fn lines_before_tests(&self) -> usize {
        match self.tests {
            Some(first) if first > 1 => first - 1,
            Some(_) | None => self.lines,
        }
    }
}

/// The names in a file's path, without `.rs`.
pub(crate) fn names(file: &str) -> impl Iterator<Item = &str> {
    file.strip_suffix(".rs").unwrap_or(file).split('/')
}

fn module(file: &str) -> Vec<String> {
    let folders = names(file).take_while(|name| *name != "src").count();
    let mut module: Vec<String> = names(file).skip(folders + 1).map(str::to_owned).collect();
    match module.last().map(String::as_str) {
        Some("mod" | "lib" | "main") => drop(module.pop()),
        // `x_tests.rs` is `tests` inside `x`.
        Some(last) => {
            if let Some(tested) = last.strip_suffix("_tests").map(str::to_owned) {
                module.pop();
                module.extend([tested, "tests".to_owned()]);
            }
        }
        None => {}
    }
    module
}

fn is_test_file(file: &str) -> bool {
    let of_tests = |name: &str| name == "tests" || name == "sample" || name.ends_with("_tests");
    names(file).any(of_tests)
}

fn first_line_of_tests(text: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let is_start = |at: usize, line: &str| {
        line.trim() == "#[cfg(test)]"
            && lines.iter().skip(at + 1).take(2).any(|next| next.trim().starts_with("mod tests"))
    };
    lines.iter().enumerate().find(|(at, line)| is_start(*at, line)).map(|(at, _)| at + 1)
}

/// The text with blanks for comments, strings and characters; lines stay where they are.
fn without_comments_and_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(char) = chars.get(at) {
        let rest = chars.get(at..).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        let within_word = before.is_some_and(|before| is_word(*before));
        let length = match rest {
            ['/', '/', ..] => rest.iter().take_while(|char| **char != '\n').count(),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => string(rest),
            ['r' | 'b' | 'c', ..] if !within_word => prefixed_string(rest),
            ['\'', ..] => character(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(*char);
            at += 1;
            continue;
        }
        let blanked = rest.iter().take(length);
        code.extend(blanked.map(|char| if *char == '\n' { '\n' } else { ' ' }));
        at += length;
    }
    code
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Block comments nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match rest.get(at..).unwrap_or_default() {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth.saturating_sub(1), at + 2),
            [] => return at,
            [_, ..] => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    loop {
        match rest.get(at..).unwrap_or_default() {
            ['\\', _, ..] => at += 2,
            ['"', ..] => return at + 1,
            [] => return at,
            [_, ..] => at += 1,
        }
    }
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`; 0 where a name begins instead.
fn prefixed_string(rest: &[char]) -> usize {
    let letters = rest.iter().take_while(|char| matches!(char, 'r' | 'b' | 'c')).count();
    let raw = rest.iter().take(letters).any(|char| *char == 'r');
    let hashes = rest.iter().skip(letters).take_while(|char| **char == '#').count();
    let opening = letters + hashes;
    if letters > 2 || rest.get(opening) != Some(&'"') || (!raw && hashes > 0) {
        return 0;
    }
    let body = rest.get(opening..).unwrap_or_default();
    if !raw {
        return opening + string(body);
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let inside = body.get(1..).unwrap_or_default();
    let end = inside.windows(closing.len()).position(|window| *window == *closing);
    end.map_or(rest.len(), |end| opening + 1 + end + closing.len())
}

/// `'x'` or `'\n'`; 0 for a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, tail @ ..] => {
            3 + tail.iter().position(|char| *char == '\'').map_or(0, |end| end + 1)
        }
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

/// Words, `::`, and single marks.
fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut line = 1;
    let mut touches = false;
    for char in code.chars() {
        let joins = touches
            && tokens.last().is_some_and(|last| {
                (is_word(char) && last.text.starts_with(is_word))
                    || (char == ':' && last.text == ":")
            });
        if joins {
            if let Some(last) = tokens.last_mut() {
                last.text.push(char);
            }
        } else if !char.is_whitespace() {
            tokens.push(Token { line, text: char.to_string() });
        }
        touches = !char.is_whitespace();
        line += usize::from(char == '\n');
    }
    tokens
}

/// Reads the paths out of the words.
struct Paths<'a> {
    tokens: &'a [Token],
    module: &'a [String],
    found: Vec<CodePath>,
}

impl Paths<'_> {
    fn read(mut self) -> Vec<CodePath> {
        // Of each open brace, the module it opens.
        let mut braces: Vec<Option<String>> = Vec::new();
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            match token.text.as_str() {
                "{" => braces.push(self.opened_module(at)),
                "}" => drop(braces.pop()),
                _ => {}
            }
            let follows = at.checked_sub(1).and_then(|before| self.text(before));
            if !token.is_word() || matches!(follows, Some("::" | ".")) {
                // A path from the root of all crates begins with `::`.
                let is_root = at.checked_sub(2).and_then(|before| self.tokens.get(before));
                let is_rooted = follows == Some("::")
                    && !is_root.is_some_and(|before| before.is_word() || before.text == ">");
                if !(token.is_word() && is_rooted) {
                    at += 1;
                    continue;
                }
            }
            let mut inside = self.module.to_vec();
            inside.extend(braces.iter().flatten().cloned());
            let is_use = matches!(follows, Some("use"));
            at = self.tree(at, &[], &inside, is_use);
        }
        self.found
    }

    fn text(&self, at: usize) -> Option<&str> {
        self.tokens.get(at).map(|token| token.text.as_str())
    }

    fn opened_module(&self, brace: usize) -> Option<String> {
        let name = brace.checked_sub(1)?;
        let word = brace.checked_sub(2)?;
        (self.text(word)? == "mod").then(|| self.text(name).map(str::to_owned))?
    }

    /// Reads one path with its groups; where it ends.
    fn tree(&mut self, start: usize, prefix: &[String], inside: &[String], is_use: bool) -> usize {
        let mut written = prefix.to_vec();
        let mut at = start;
        while let Some(token) = self.tokens.get(at) {
            if token.text == "{" && at > start && !written.is_empty() {
                return self.group(at + 1, &written, inside, is_use);
            }
            if !token.is_word() && token.text != "*" {
                break;
            }
            written.push(token.text.clone());
            if self.text(at + 1) != Some("::") {
                at += 1;
                break;
            }
            at += 2;
        }
        let line = self.tokens.get(at.saturating_sub(1)).map_or(0, |token| token.line);
        let absolute = absolute(&written, inside);
        self.found.push(CodePath { line, written, absolute, is_use });
        at.max(start + 1)
    }

    fn group(&mut self, start: usize, prefix: &[String], inside: &[String], is_use: bool) -> usize {
        let mut at = start;
        while let Some(token) = self.tokens.get(at) {
            match token.text.as_str() {
                "}" => return at + 1,
                "as" => at += 2,
                _ if token.is_word() || token.text == "*" => {
                    at = self.tree(at, prefix, inside, is_use);
                }
                _ => at += 1,
            }
        }
        at
    }
}

/// Where a path leads from the root of our own crate.
fn absolute(written: &[String], inside: &[String]) -> Option<Vec<String>> {
    let (first, rest) = written.split_first()?;
    let mut absolute = match first.as_str() {
        "crate" => Vec::new(),
        "self" => inside.to_vec(),
        "super" => inside.get(..inside.len().saturating_sub(1)).unwrap_or_default().to_vec(),
        _ => return None,
    };
    for segment in rest {
        match segment.as_str() {
            "super" => drop(absolute.pop()),
            "self" => {}
            _ => absolute.push(segment.clone()),
        }
    }
    Some(absolute)
}

/// Reads the types out of the words.
struct Types<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<Field>,
}

impl<'a> Types<'a> {
    fn read(mut self, traits: &[&str]) -> Vec<Field> {
        let mut derives = false;
        while let Some(token) = self.next() {
            match token.text.as_str() {
                "#" => derives |= self.attribute_has(traits),
                "struct" | "enum" if derives => {
                    derives = false;
                    self.head();
                }
                "struct" | "enum" | "fn" | "impl" | "mod" => derives = false,
                _ => {}
            }
        }
        self.found
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|token| token.text.as_str())
    }

    /// After `#`: whether the attribute derives one of the traits.
    fn attribute_has(&mut self, traits: &[&str]) -> bool {
        let words = self.group();
        words.iter().any(|word| word == "derive")
            && words.iter().any(|word| traits.contains(&word.as_str()))
    }

    /// Everything up to the mark that closes the next one.
    fn group(&mut self) -> Vec<String> {
        let mut depth = 0_usize;
        let mut words = Vec::new();
        while let Some(token) = self.next() {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                word => words.push(word.to_owned()),
            }
            if depth == 0 {
                break;
            }
        }
        words
    }

    /// After `struct` or `enum`.
    fn head(&mut self) {
        let Some(name) = self.next() else { return };
        while let Some(mark) = self.peek() {
            match mark {
                "{" | "(" => return self.body(name),
                ";" => return,
                _ => self.at += 1,
            }
        }
    }

    /// The fields between two brackets; those of a variant are told too.
    fn body(&mut self, owner: &'a Token) {
        self.at += 1;
        let mut name = owner;
        while let Some(token) = self.next() {
            match token.text.as_str() {
                ")" | "}" => return,
                "," => name = owner,
                "#" => drop(self.group()),
                "pub" if self.peek() == Some("(") => drop(self.group()),
                "pub" => {}
                ":" => self.field(name),
                _ if token.is_word() && matches!(self.peek(), Some(":" | "," | "}")) => {
                    name = token;
                }
                // A variant with fields of its own.
                _ if token.is_word() && matches!(self.peek(), Some("{" | "(")) => self.body(token),
                _ => {
                    self.at -= 1;
                    self.field(name);
                }
            }
        }
    }

    /// The type of a field, up to what ends it.
    fn field(&mut self, name: &Token) {
        let mut depth = 0_usize;
        let mut words = Vec::new();
        while let Some(mark) = self.peek() {
            match mark {
                "," | ")" | "}" | "]" if depth == 0 => break,
                "<" | "(" | "[" => depth += 1,
                ">" | ")" | "]" => depth = depth.saturating_sub(1),
                word if word.starts_with(is_word) => words.push(word.to_owned()),
                _ => {}
            }
            self.at += 1;
        }
        self.found.push(Field { line: name.line, name: name.text.clone(), words });
    }
}
