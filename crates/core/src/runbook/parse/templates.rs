//! Whether a text is an expression or a template that can be evaluated; nothing is evaluated here.

/// A longer text is no template: reading one takes stack by its length.
const LONGEST: usize = 4096;

/// What is wrong with an expression such as `channel == "stable"`.
pub(super) fn expression_problem(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return Some(format!("it is longer than {LONGEST} bytes"));
    }
    minijinja::Environment::new().compile_expression(text).err().map(|error| problem(&error))
}

/// What is wrong with a text with `{{ ... }}` in it; a text without is never wrong.
pub(super) fn template_problem(text: &str) -> Option<String> {
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return None;
    }
    if text.len() > LONGEST {
        return Some(format!("it is longer than {LONGEST} bytes"));
    }
    minijinja::Environment::new().template_from_str(text).err().map(|error| problem(&error))
}

fn problem(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_evaluated_is_said() {
        let check = |text: &str, expression: bool, template: bool| {
            let found = (expression_problem(text).is_none(), template_problem(text).is_none());
            assert_eq!(found, (expression, template), "{text}");
        };
        check("channel == \"stable\"", true, true);
        check("channel ==", false, true);
        check("{{ version }}", false, true);
        check("{{ version", false, false);
        check("v{{ version }} {{ a | ", false, false);
        check(&"(".repeat(4000), false, true);
        check(&format!("{{{{ 1{} }}}}", "+1".repeat(2000)), false, true);
        check(&format!("1{}", "+1".repeat(2000)), true, true);
        check(&format!("{{{{ {} }}}}", "a".repeat(5000)), false, false);
    }
}
