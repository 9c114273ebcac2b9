//! Hostile text made safe to show.

/// `text` without anything that could move a terminal's cursor, change its state or reorder what is
/// read: C0 and C1 controls (tab and newline stay) and Unicode bidirectional and invisible format characters.
pub fn sanitize(text: &str) -> String {
    text.chars().filter(|character| is_harmless(*character)).collect()
}

/// [`sanitize`] for text that must stay on one line: white space runs become one space.
pub fn sanitize_line(text: &str) -> String {
    sanitize(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_harmless(character: char) -> bool {
    match character {
        '\t' | '\n' => true,
        character if character.is_control() => false,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => false,
        '\u{e0000}'..='\u{e007f}' => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_reordering_are_stripped() {
        assert_eq!(sanitize("a\u{1b}[31mb\u{7}c\u{202e}d\te\n"), "a[31mbcd\te\n");
        assert_eq!(sanitize("\u{9b}31m\r"), "31m");
        assert_eq!(sanitize_line(" one\n two\t\u{1b}]0;x\u{7} "), "one two ]0;x");
    }
}
