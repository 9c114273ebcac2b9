//! The words of the dialect in English and French: sections, settings, metrics, table headers.

/// A section with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Objective,
    Preconditions,
    Steps,
    Rollback,
    Outputs,
    Errors,
    Escalation,
    /// Known by name, read by people only.
    Documentation,
}

/// `text` in lower case, without accents, apostrophes straight, white space single, no trailing colon.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => folded.push('a'),
            'ç' => folded.push('c'),
            'è' | 'é' | 'ê' | 'ë' => folded.push('e'),
            'ì' | 'í' | 'î' | 'ï' => folded.push('i'),
            'ñ' => folded.push('n'),
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' => folded.push('o'),
            'ù' | 'ú' | 'û' | 'ü' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'œ' => folded.push_str("oe"),
            'æ' => folded.push_str("ae"),
            '’' | '‘' => folded.push('\''),
            // Combining accents: decomposed letters fold as composed ones.
            '\u{300}'..='\u{36f}' => {}
            other => folded.push(other),
        }
    }
    let folded = folded.split_whitespace().collect::<Vec<_>>().join(" ");
    folded.trim_end_matches([':', ' ']).to_owned()
}

/// The first part of the names under which items are taken back: no step may have it.
pub(super) const UNDO: &str = "undo";

/// A title as an identifier: lower case words of letters and digits joined by hyphens.
pub(crate) fn slug(title: &str) -> String {
    let mut slug = String::new();
    for character in fold(title).chars() {
        if character.is_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    match slug {
        "" => "step".to_owned(),
        // What is taken back goes by this name followed by the item's own.
        UNDO => format!("{UNDO}-step"),
        slug => slug.to_owned(),
    }
}

/// The section a heading opens, when its title is known. What follows in parentheses does not count.
pub(super) fn section(title: &str) -> Option<Section> {
    let folded = fold(title);
    let name = folded.split(['(', '{']).next().unwrap_or_default().trim_end_matches([':', ' ']);
    let name = name.replace(['-', '_'], " ");
    let section = match name.as_str() {
        "objective" | "objectives" | "objectif" | "objectifs" | "purpose" | "but" | "goal" => {
            Section::Objective
        }
        "preconditions"
        | "precondition"
        | "prerequisites"
        | "prerequisite"
        | "pre requisites"
        | "pre requis"
        | "prerequis"
        | "preconditions requises"
        | "requirements" => Section::Preconditions,
        "steps" | "etapes" | "sequence" | "procedure" | "deroulement" => Section::Steps,
        "rollback" | "retour arriere" | "roll back" => Section::Rollback,
        "outputs" | "output" | "sorties" | "sortie" | "livrables" | "deliverables" => Section::Outputs,
        "common errors" | "erreurs courantes" | "erreurs frequentes" | "troubleshooting" | "depannage" => {
            Section::Errors
        }
        "escalation" | "escalations" | "escalade" | "escalades" => Section::Escalation,
        "trigger"
        | "triggers"
        | "declencheur"
        | "declencheurs"
        | "acteurs"
        | "actors"
        | "gates"
        | "gates humains bloquants"
        | "convention"
        | "conventions"
        | "frequence"
        | "frequency"
        | "notes"
        | "note" => Section::Documentation,
        _ => return None,
    };
    Some(section)
}

/// The section that an unknown title looks like a slip of the pen for.
pub(super) fn section_meant(title: &str) -> Option<&'static str> {
    const TITLES: &[&str] = &[
        "Objective",
        "Preconditions",
        "Prerequisites",
        "Steps",
        "Procedure",
        "Rollback",
        "Outputs",
        "Common errors",
        "Troubleshooting",
        "Escalation",
        "Objectif",
        "Pré-requis",
        "Étapes",
        "Séquence",
        "Retour arrière",
        "Sorties",
        "Livrables",
        "Erreurs courantes",
        "Escalade",
    ];
    slip(title, TITLES.iter().map(|title| (fold(title), *title)))
}

/// A setting of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    Owner,
    When,
    Within,
    Lock,
    OnFailure,
    Parallel,
    Matrix,
    Output,
}

/// Every spelling of a setting, folded, and the way it is advised.
pub(super) const SETTINGS: &[(&str, &str, Setting)] = &[
    ("owner", "Owner", Setting::Owner),
    ("responsable", "Responsable", Setting::Owner),
    ("when", "When", Setting::When),
    ("si", "Si", Setting::When),
    ("within", "Within", Setting::Within),
    ("delai", "Délai", Setting::Within),
    ("lock", "Lock", Setting::Lock),
    ("verrou", "Verrou", Setting::Lock),
    ("on failure", "On failure", Setting::OnFailure),
    ("on-failure", "On failure", Setting::OnFailure),
    ("en cas d'echec", "En cas d'échec", Setting::OnFailure),
    ("parallel", "Parallel", Setting::Parallel),
    ("parallele", "Parallèle", Setting::Parallel),
    ("matrix", "Matrix", Setting::Matrix),
    ("matrice", "Matrice", Setting::Matrix),
    ("output", "Output", Setting::Output),
    ("outputs", "Outputs", Setting::Output),
    ("sortie", "Sortie", Setting::Output),
    ("sorties", "Sorties", Setting::Output),
];

/// The setting of that name.
pub(super) fn setting(key: &str) -> Option<Setting> {
    let folded = fold(key);
    SETTINGS.iter().find(|(name, ..)| *name == folded).map(|(.., setting)| *setting)
}

/// The advised spelling of the setting that `key` looks like a slip of the pen for. Stricter than a
/// suggestion: a list of `Then: ...` and `Note: ...` is prose.
pub(super) fn setting_meant(key: &str) -> Option<&'static str> {
    slip(key, SETTINGS.iter().map(|(name, advised, _)| ((*name).to_owned(), *advised)))
}

/// The name, of those given folded and as advised, that `text` is one slip of the pen away from, or two when
/// it is long; the first letter is right.
fn slip(text: &str, names: impl Iterator<Item = (String, &'static str)>) -> Option<&'static str> {
    // Comparing takes time by the product of the lengths, and the text comes from a hostile source.
    if text.len() > 40 {
        return None;
    }
    let folded = fold(text);
    let first = folded.chars().next()?;
    names
        .filter(|(name, _)| name.chars().count() >= 4 && name.starts_with(first))
        .map(|(name, advised)| (strsim::damerau_levenshtein(&folded, &name), name.len(), advised))
        .filter(|(distance, length, _)| *distance <= if *length >= 6 { 2 } else { 1 })
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., advised)| advised)
}

/// Whether `title` announces the criteria of a rollback.
pub(super) fn is_criteria(title: &str) -> bool {
    matches!(
        fold(title).as_str(),
        "criteres de rollback"
            | "criteres de retour arriere"
            | "criteres"
            | "rollback criteria"
            | "criteria for rollback"
            | "criteria"
            | "roll back when"
            | "roll back if"
    )
}

/// The column of a table of common errors: 0 the error, 1 the cause, 2 the solution.
pub(super) fn error_column(header: &str) -> Option<usize> {
    match fold(header).as_str() {
        "error" | "errors" | "erreur" | "erreurs" | "symptom" | "symptome" | "problem" | "probleme" => {
            Some(0)
        }
        "cause" | "causes" | "reason" | "raison" | "why" => Some(1),
        "solution" | "solutions" | "fix" | "action" | "remedy" | "remede" | "resolution" => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_known_in_both_languages_whatever_the_accents() {
        let check = |title: &str, expect: Option<Section>| assert_eq!(section(title), expect, "{title}");
        check("Pré-requis", Some(Section::Preconditions));
        check("PREREQUIS", Some(Section::Preconditions));
        check("Pre\u{301}requis :", Some(Section::Preconditions));
        check("Étapes", Some(Section::Steps));
        check("Séquence", Some(Section::Steps));
        check("Rollback (en cas d'echec)", Some(Section::Rollback));
        check("Erreurs Courantes", Some(Section::Errors));
        check("Convention semver (rappel)", None);
        check("Gates humains bloquants", Some(Section::Documentation));
        check("Steps taken", None);
    }

    #[test]
    fn slugs_fold_accents() {
        assert_eq!(slug("Créer le Tag"), "creer-le-tag");
        assert_eq!(slug("Validation Post-Déploiement"), "validation-post-deploiement");
        assert_eq!(slug("  !? "), "step");
        assert_eq!(slug("Undo!"), "undo-step");
    }

    #[test]
    fn other_sections_are_not_misspelt_ones() {
        let check = |title: &str, expect: Option<&str>| assert_eq!(section_meant(title), expect, "{title}");
        check("Stpes", Some("Steps"));
        check("Rolback", Some("Rollback"));
        check("Etape", Some("Étapes"));
        check("Setup", None);
        check("Release", None);
        check("Options", None);
        check("Overview", None);
    }

    #[test]
    fn prose_is_not_a_misspelt_setting() {
        let check = |key: &str, expect: Option<&str>| assert_eq!(setting_meant(key), expect, "{key}");
        check("Ownr", Some("Owner"));
        check("Wihin", Some("Within"));
        check("Then", None);
        check("Note", None);
        check("Six", None);
    }
}
