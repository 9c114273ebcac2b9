//! Python's TOML holders: pyproject.toml and uv.lock.

use toml_edit::{Item, TableLike};

use super::toml::{at, parse, string};
use super::{HolderError, Place, Spelling, line_of};
use crate::text::sanitize_line;
use crate::version::shown;

/// What a pyproject.toml says of a version that it does not state itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonProject {
    /// `[project] name`, else `[tool.poetry] name`.
    pub name: Option<String>,
    /// The version is stated elsewhere or made by the build.
    pub is_dynamic: bool,
    /// Files that the build may read it from, most likely first; empty when it comes from the tag.
    pub files: Vec<String>,
}

/// Reads what a pyproject.toml says of its project.
///
/// # Errors
/// When it is no TOML.
pub fn python_project(source: &str) -> Result<PythonProject, HolderError> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if source.len() > super::LARGEST {
        return Err(HolderError::TooLarge { size: source.len() });
    }
    let document = parse(source)?;
    let root = document.as_item();
    let text = |path: &[&str]| at(root, path).and_then(Item::as_str).map(str::to_owned);
    let name = text(&["project", "name"]).or_else(|| text(&["tool", "poetry", "name"]));
    let is_dynamic = dynamic(root).is_some();
    let files = if is_dynamic { files(root, name.as_deref()) } else { Vec::new() };
    Ok(PythonProject { name, is_dynamic, files })
}

/// The modules that usually state the version of the package `name`, from its folder.
pub fn python_modules(name: &str) -> Vec<String> {
    let module = name.replace(['-', '.'], "_");
    if module.is_empty() || !module.chars().all(|character| character.is_alphanumeric() || character == '_') {
        return Vec::new();
    }
    let mut files = Vec::new();
    for folder in ["src/", ""] {
        for module in [module.clone(), module.to_lowercase()] {
            for file in ["__init__.py", "_version.py", "__about__.py", "__version__.py", "version.py"] {
                files.push(format!("{folder}{module}/{file}"));
            }
            files.push(format!("{folder}{module}.py"));
        }
    }
    files.dedup();
    files
}

/// `[project] version`, else `[tool.poetry] version`; both where both are there.
pub(super) fn pyproject(source: &str) -> Result<Vec<Place>, HolderError> {
    let document = parse(source)?;
    let root = document.as_item();
    let poetry = at(root, &["tool", "poetry", "version"]);
    if let Some(item) = dynamic(root) {
        let line = line_of(source, item.span().map_or(0, |span| span.start));
        let name = at(root, &["project", "name"]).and_then(Item::as_str);
        let help = match files(root, name).first() {
            Some(file) => format!("it is read from {}: name that file as the holder", shown(file)),
            None => {
                "name the file that states it as the holder, or let the tag be its only statement".to_owned()
            }
        };
        return Err(HolderError::Dynamic { line, help });
    }
    let project = at(root, &["project", "version"]);
    if let (Some(one), Some(other)) = (project, poetry) {
        return both(source, one, other);
    }
    // Poetry 2 lists `version` as dynamic and keeps it in its own table.
    match project.or(poetry) {
        Some(item) => Ok(vec![Place { span: string(source, item)?, spelling: Spelling::Pep440 }]),
        None => Err(HolderError::Missing {
            expected: "pyproject.toml has neither `[project] version` nor `[tool.poetry] version`".to_owned(),
            help: "add `version = \"0.1.0\"` under [project]".to_owned(),
        }),
    }
}

/// The places of a version that both tables state: each is written, and they must agree before. A 0.0.0 beside another
/// version only fills its place.
fn both(source: &str, project: &Item, poetry: &Item) -> Result<Vec<Place>, HolderError> {
    let is_placeholder = |item: &Item| item.as_str() == Some("0.0.0");
    let stated: Vec<&Item> = match (is_placeholder(project), is_placeholder(poetry)) {
        (true, false) => vec![poetry],
        (false, true) => vec![project],
        _ => vec![project, poetry],
    };
    let place = |item| Ok(Place { span: string(source, item)?, spelling: Spelling::Pep440 });
    stated.into_iter().map(place).collect()
}

/// What makes the version dynamic, when it is.
fn dynamic(root: &Item) -> Option<&Item> {
    let poetry = at(root, &["tool", "poetry", "version"]);
    if poetry.is_some()
        && at(root, &["tool", "poetry-dynamic-versioning", "enable"]).and_then(Item::as_bool) == Some(true)
    {
        // What stands there is replaced by the build.
        return poetry;
    }
    if poetry.is_some() || at(root, &["project", "version"]).is_some() {
        return None;
    }
    let list = at(root, &["project", "dynamic"])?;
    list.as_array()?.iter().any(|field| field.as_str() == Some("version")).then_some(list)
}

/// The files that a build back end reads the version from.
fn files(root: &Item, name: Option<&str>) -> Vec<String> {
    let text = |path: &[&str]| at(root, path).and_then(Item::as_str);
    if let Some(path) = text(&["tool", "hatch", "version", "path"]).or_else(|| {
        let from_file = text(&["tool", "pdm", "version", "source"]) == Some("file");
        text(&["tool", "pdm", "version", "path"]).filter(|_| from_file)
    }) {
        return vec![path.to_owned()];
    }
    if let Some(attribute) = text(&["tool", "setuptools", "dynamic", "version", "attr"]) {
        return attribute_files(root, attribute);
    }
    let file = at(root, &["tool", "setuptools", "dynamic", "version", "file"]);
    if let Some(file) = file.and_then(|file| file.as_str().or_else(|| file.as_array()?.get(0)?.as_str())) {
        return vec![file.to_owned()];
    }
    let flit = text(&["build-system", "build-backend"]).is_some_and(|backend| backend.starts_with("flit"));
    let module = text(&["tool", "flit", "module", "name"]).or_else(|| name.filter(|_| flit));
    match module {
        Some(module) => {
            let module = module.replace('-', "_").replace('.', "/");
            ["src/", ""]
                .iter()
                .flat_map(|folder| [format!("{folder}{module}/__init__.py"), format!("{folder}{module}.py")])
                .collect()
        }
        None => Vec::new(),
    }
}

/// Where setuptools finds `package.module.NAME`.
fn attribute_files(root: &Item, attribute: &str) -> Vec<String> {
    let Some((module, _)) = attribute.rsplit_once('.') else { return Vec::new() };
    let module = module.replace('.', "/");
    let directories = at(root, &["tool", "setuptools", "package-dir"]).and_then(Item::as_table_like);
    let declared = directories.and_then(|directories| directories.get("")).and_then(Item::as_str);
    let folders = match declared {
        Some(folder) => vec![format!("{}/", folder.trim_end_matches('/'))],
        None => vec!["src/".to_owned(), String::new()],
    };
    folders
        .iter()
        .flat_map(|folder| [format!("{folder}{module}.py"), format!("{folder}{module}/__init__.py")])
        .collect()
}

/// The entries of a uv.lock that are built from this repository.
pub(super) fn uv_lock(source: &str, packages: &[String]) -> Result<Vec<Place>, HolderError> {
    let document = parse(source)?;
    let normal = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
    let packages: Vec<String> = packages.iter().map(|name| normal(name)).collect();
    let entries = document.get("package").and_then(Item::as_array_of_tables);
    let mut places = Vec::new();
    let mut found = Vec::new();
    for entry in entries.into_iter().flat_map(|tables| tables.iter()) {
        let Some(folder) = entry.get("source").and_then(Item::as_table_like).and_then(folder) else {
            continue;
        };
        let name = normal(entry.get("name").and_then(Item::as_str).unwrap_or(""));
        let ours = if packages.is_empty() { folder == "." } else { packages.contains(&name) };
        let Some(version) = entry.get("version").filter(|_| ours) else { continue };
        places.push(Place { span: string(source, version)?, spelling: Spelling::Pep440 });
        found.push(name);
    }
    let missing = |expected: String| HolderError::Missing {
        expected,
        help: "run `uv lock` if the file is old; an entry without version follows by itself".to_owned(),
    };
    if let Some(absent) = packages.iter().find(|package| !found.contains(package)) {
        return Err(missing(format!(
            "uv.lock has no local package `{}` with a version",
            sanitize_line(absent)
        )));
    }
    if places.is_empty() {
        return Err(missing("uv.lock has no package of this folder with a version".to_owned()));
    }
    Ok(places)
}

/// The folder that a package is built from.
fn folder(source: &dyn TableLike) -> Option<&str> {
    ["editable", "virtual", "directory"].iter().find_map(|key| source.get(key)?.as_str())
}
