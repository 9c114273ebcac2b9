//! What a shell script starts: a reading that prefers to say nothing over saying something wrong.

use std::collections::BTreeSet;

use super::lexer::{Token, tokens};

/// Something a script needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// A command by name.
    Command {
        /// Its name.
        name: String,
        /// The script's line, from 1.
        line: usize,
    },
    /// A script file.
    File {
        /// Its path as written.
        path: String,
        /// The script's line, from 1.
        line: usize,
    },
    /// A target of make.
    MakeTarget {
        /// Its name; empty for the default one.
        target: String,
        /// The script's line, from 1.
        line: usize,
    },
}

/// Builtins of bash and sh, and words of their grammar.
const BUILTINS: &str = " . : [ [[ alias bg bind break builtin caller case cd command compgen complete compopt continue \
    coproc declare dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for function \
    getopts hash help history if in jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly \
    return select set shift shopt source suspend test then time times trap true type typeset ulimit umask unalias \
    unset until wait while { } ! ]] ";

/// Words after which a command starts.
const STARTERS: &[&str] = &["then", "do", "else", "elif", "if", "while", "until", "!", "{", "time"];

/// Commands that start the command after them.
const WRAPPERS: &[&str] = &["exec", "sudo", "nohup", "command", "env", "nice"];

/// Everything `text` needs, as far as it is certain.
pub fn uses(text: &str) -> Vec<Use> {
    let tokens = tokens(text).tokens;
    let own = own_names(&tokens);
    let mut uses = Vec::new();
    let mut at = 0;
    let mut cases = 0usize;
    while at < tokens.len() {
        let end = command_end(&tokens, at);
        let command = &tokens[at..end];
        let words: Vec<(&str, bool, usize)> = command
            .iter()
            .filter_map(|(token, line)| match token {
                Token::Word(word, exact) => Some((word.as_str(), *exact, *line)),
                _ => None,
            })
            .collect();
        // Patterns of a `case` look like commands; what follows them on their line is not read either.
        match words.first().map(|word| word.0) {
            Some("case") => cases += 1,
            Some("esac") => cases = cases.saturating_sub(1),
            _ if cases == 0 => {
                let followed_by_parenthesis = matches!(tokens.get(end), Some((Token::Open, _)));
                if !followed_by_parenthesis && !simple(&words, &own, &mut uses) {
                    // The script moves, changes its PATH or reads another script: from here on all is open.
                    return uses;
                }
            }
            _ => {}
        }
        at = end + 1;
    }
    uses
}

/// Whether every quote, substitution and here-document of `text` is closed.
pub fn is_closed(text: &str) -> bool {
    tokens(text).closed
}

/// Reads one simple command; false when nothing after it can be known.
fn simple(words: &[(&str, bool, usize)], own: &BTreeSet<String>, uses: &mut Vec<Use>) -> bool {
    let mut words = words;
    loop {
        let Some((word, exact, line)) = words.first().copied() else { return true };
        if is_assignment(word) {
            if word.starts_with("PATH=") {
                return false;
            }
            words = &words[1..];
            continue;
        }
        if !exact {
            return true;
        }
        if STARTERS.contains(&word) {
            words = &words[1..];
            continue;
        }
        if WRAPPERS.contains(&word) {
            let next = words.get(1).copied();
            if !BUILTINS.contains(&format!(" {word} ")) && !own.contains(word) {
                uses.push(Use::Command { name: word.to_owned(), line });
            }
            if next.is_none_or(|next| next.0.starts_with('-')) {
                return true;
            }
            words = &words[1..];
            continue;
        }
        return command(word, line, &words[1..], own, uses);
    }
}

fn command(
    name: &str,
    line: usize,
    arguments: &[(&str, bool, usize)],
    own: &BTreeSet<String>,
    uses: &mut Vec<Use>,
) -> bool {
    match name {
        "cd" | "pushd" | "popd" | "source" | "." | "eval" | "alias" => return false,
        "export" | "declare" | "typeset" => {
            return !arguments.iter().any(|argument| argument.0.starts_with("PATH="));
        }
        _ => {}
    }
    if name.contains('/') {
        file(name, line, own, uses);
        return true;
    }
    let is_name =
        name.chars().all(|character| character.is_ascii_alphanumeric() || "._+-".contains(character));
    if !is_name || own.contains(name) || BUILTINS.contains(&format!(" {name} ")) {
        return true;
    }
    uses.push(Use::Command { name: name.to_owned(), line });
    match name {
        "sh" | "bash" | "python" | "python3" | "node" => {
            if let Some((path, true, line)) = arguments.first().copied() {
                file(path, line, own, uses);
            }
        }
        "make" | "gmake" => make(arguments, line, uses),
        _ => {}
    }
    true
}

/// Only script files are looked for: anything else may be built by an earlier step.
fn file(path: &str, line: usize, own: &BTreeSet<String>, uses: &mut Vec<Use>) {
    let is_script = [".sh", ".bash", ".py", ".js"].iter().any(|ending| path.ends_with(ending));
    if is_script && !path.starts_with(['/', '-', '~']) && !own.contains(path) {
        uses.push(Use::File { path: path.to_owned(), line });
    }
}

fn make(arguments: &[(&str, bool, usize)], line: usize, uses: &mut Vec<Use>) {
    // Another folder, another file, a target from a variable: somebody else's Makefile.
    if arguments.iter().any(|(word, exact, _)| !exact && !is_assignment(word)) {
        return;
    }
    if arguments.iter().any(|(word, _, _)| word.starts_with('-')) {
        return;
    }
    let redirected = arguments.iter().position(|(word, _, _)| word.contains(['<', '>']));
    let arguments = &arguments[..redirected.unwrap_or(arguments.len())];
    let targets: Vec<&str> =
        arguments.iter().map(|argument| argument.0).filter(|word| !is_assignment(word)).collect();
    if targets.is_empty() {
        uses.push(Use::MakeTarget { target: String::new(), line });
    }
    uses.extend(targets.iter().map(|target| Use::MakeTarget { target: (*target).to_owned(), line }));
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || "_[]".contains(character))
}

/// Functions the script defines, commands it looks for itself, and files it writes.
fn own_names(tokens: &[(Token, usize)]) -> BTreeSet<String> {
    let mut own = BTreeSet::new();
    let word = |at: usize| match tokens.get(at) {
        Some((Token::Word(word, _), _)) => Some(word.as_str()),
        _ => None,
    };
    for at in 0..tokens.len() {
        let Some(name) = word(at) else { continue };
        let is_function = matches!(tokens.get(at + 1), Some((Token::Open, _)))
            && matches!(tokens.get(at + 2), Some((Token::Close, _)));
        if is_function {
            own.insert(name.to_owned());
        }
        match name {
            "function" => own.extend(word(at + 1).map(str::to_owned)),
            "command" | "type" | "which" | "hash" => {
                let mut next = at + 1;
                while word(next).is_some_and(|word| word.starts_with('-')) {
                    next += 1;
                }
                // Looking for it is knowing that it may be missing; `command x` without an option runs it.
                if name != "command" || next > at + 1 {
                    own.extend(word(next).map(str::to_owned));
                }
            }
            _ => {
                if let Some(path) = name.strip_prefix(">>").or_else(|| name.strip_prefix('>')) {
                    let path = if path.is_empty() { word(at + 1).unwrap_or_default() } else { path };
                    own.insert(path.to_owned());
                }
            }
        }
    }
    own
}

fn command_end(tokens: &[(Token, usize)], from: usize) -> usize {
    let rest = tokens[from..].iter().position(|(token, _)| !matches!(token, Token::Word(..)));
    rest.map_or(tokens.len(), |length| from + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        uses(text)
            .into_iter()
            .map(|use_| match use_ {
                Use::Command { name, line } => format!("{line} {name}"),
                Use::File { path, line } => format!("{line} file {path}"),
                Use::MakeTarget { target, line } => format!("{line} make {target}"),
            })
            .collect()
    }

    #[test]
    fn commands_are_named_only_where_it_is_certain() {
        let check = |text: &str, expect: &[&str]| assert_eq!(shown(text), expect, "{text}");
        check("kubectl get pods", &["1 kubectl"]);
        check("# kubectl\n\ngh release create \"$X\" | jq . && rg x", &["3 gh", "3 jq", "3 rg"]);
        check("A=1 B=\"$C\" foo -x", &["1 foo"]);
        check("if foo; then bar; else baz; fi", &["1 foo", "1 bar", "1 baz"]);
        check("for x in a b; do run \"$x\"; done", &["1 run"]);
        check("while ! probe; do sleep 1; done", &["1 probe", "1 sleep"]);
        check("$CMD arg; \"$X/y\" z; `which a` b", &[]);
        check("f() { inner; }\nf\nfunction g { x; }\ng", &["1 inner"]);
        check("cat <<EOF | sort\nnot commands; rm\nEOF\ntail", &["1 cat", "1 sort", "4 tail"]);
        check("cat <<-'E O'\n\tno\n\tE O\nyes", &["1 cat", "4 yes"]);
        check("case $x in\n a|b) foo ;;\nesac\nbar", &["4 bar"]);
        check("command -v rg >/dev/null && rg x", &[]);
        check("git tag -m \"a\nb; c\n\" && x", &["1 git", "3 x"]);
        check("sudo systemctl restart x", &["1 sudo", "1 systemctl"]);
        check("cd sub\nfoo", &[]);
        check("export PATH=\"x:$PATH\"\nfoo", &[]);
        check("[ -f x ] && [[ a == b ]] || { foo; }", &["1 foo"]);
        check("(foo; bar) 2>&1 >log", &["1 foo", "1 bar"]);
        check("x=$(foo | bar)\necho \"$(baz)\"", &[]);
        check("a \\\n  b\nc", &["1 a", "3 c"]);
        check("echo ${x:-'}\nfoo", &["2 foo"]);
    }

    #[test]
    fn script_files_and_make_targets_are_named() {
        let check = |text: &str, expect: &[&str]| assert_eq!(shown(text), expect, "{text}");
        check("./deploy.sh x", &["1 file ./deploy.sh"]);
        check("bash scripts/x.sh", &["1 bash", "1 file scripts/x.sh"]);
        check("./target/release/app", &[]);
        check("echo x > gen.sh\nbash gen.sh", &["2 bash"]);
        check("make", &["1 make", "1 make "]);
        check("make build VERSION=\"$V\" test", &["1 make", "1 make build", "1 make test"]);
        check("make -C sub all", &["1 make"]);
        check("make \"$T\"", &["1 make"]);
    }

    #[test]
    fn what_is_not_closed_is_told() {
        for (text, expect) in [
            ("a 'b'", true),
            ("a 'b", false),
            ("a \"b", false),
            ("x=$(a", false),
            ("cat <<E\nx\n", false),
            ("it\\'s", true),
            ("# don't", true),
        ] {
            assert_eq!(is_closed(text), expect, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "(?s)[a-c \\n\\t;&|()<>{}'\"`$\\\\#=*E-]{0,60}") {
            let _ = uses(&text);
            let _ = is_closed(&text);
        }
    }
}
