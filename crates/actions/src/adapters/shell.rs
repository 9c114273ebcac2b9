//! Quoting for a POSIX shell: the one function by which text reaches a remote command line.

/// `text` as one word of a shell, whatever it holds but a zero byte.
///
/// Quote and backslash stand outside the quotes, so that fish, which reads backslashes inside them, agrees.
pub fn quote(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=@,+%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    let mut is_open = false;
    for letter in text.chars() {
        let is_special = matches!(letter, '\'' | '\\');
        if is_special == is_open {
            quoted.push('\'');
            is_open = !is_open;
        }
        if is_special {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    if is_open || quoted.is_empty() {
        quoted.push_str(if quoted.is_empty() { "''" } else { "'" });
    }
    quoted
}

/// The words as one command line.
pub fn line<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What a shell makes of the words, each ended by a zero byte.
    fn read_by(shell: &[&str], words: &[String]) -> Vec<String> {
        let text = format!("printf '%s\\0' x {}", line(words));
        let output = Command::new(shell[0]).args(&shell[1..]).arg("-c").arg(&text).output().unwrap();
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn what_a_shell_would_do_is_not_done() {
        let words: Vec<String> = [
            "", "a b", "'", "\\", "\\'", "'\\''", "$(id)", "`id`", "${HOME}", "a\nb", "!x", "*", "~", "-n",
            "--", ";", "é", "\"", "#", "a\\", "\\\\n", "\t",
        ]
        .map(str::to_owned)
        .into();
        for shell in [&["sh"][..], &["bash"]] {
            assert_eq!(read_by(shell, &words), words, "{shell:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_text_comes_through_a_real_shell(words in proptest::collection::vec("[^\\x00]{0,24}", 1..8)) {
            prop_assert_eq!(&read_by(&["sh"], &words), &words);
        }
    }
}
