//! XML holders: pom.xml and the projects of MSBuild.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::tree::{Leaf, TEXT, Tree, several};
use super::{HolderError, Place, Spelling, line_of};
use crate::diagnostic::{Span, line_and_column};
use crate::text::sanitize_line;

/// Deeper documents are refused.
const DEEPEST: usize = 128;

/// What a pom.xml says about its build, for finding the files that share a version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MavenProject {
    /// `project/groupId`, else the parent's.
    pub group: Option<String>,
    /// `project/artifactId`.
    pub artifact: Option<String>,
    /// `project/parent/artifactId`.
    pub parent: Option<String>,
    /// `project/modules/module`: folders, or files.
    pub modules: Vec<String>,
}

/// Reads what a pom.xml says about its build.
///
/// # Errors
/// When it is no XML.
pub fn maven_project(source: &str) -> Result<MavenProject, HolderError> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let root = tree(source)?;
    let text = |names: &[&str]| -> Result<Option<String>, HolderError> {
        Ok(root.at(source, names)?.and_then(|part| part.text(source)).map(str::to_owned))
    };
    let modules = root.all("project").flat_map(|project| project.all("modules"));
    Ok(MavenProject {
        group: text(&["project", "groupId"])?.or(text(&["project", "parent", "groupId"])?),
        artifact: text(&["project", "artifactId"])?,
        parent: text(&["project", "parent", "artifactId"])?,
        modules: modules
            .flat_map(|modules| modules.all("module").filter_map(|module| module.text(source)))
            .map(str::to_owned)
            .collect(),
    })
}

/// The project's own version or the property it names, and the parent's where it is of the same build.
pub(super) fn pom(source: &str, packages: &[String]) -> Result<Vec<Place>, HolderError> {
    let root = tree(source)?;
    let missing = |expected: &str, help: &str| HolderError::Missing {
        expected: expected.to_owned(),
        help: help.to_owned(),
    };
    let project = root
        .get(source, "project")?
        .ok_or_else(|| missing("this is no pom.xml: it has no `project`", "name a pom.xml"))?;
    let at = |names: &[&str]| -> Result<Option<&Leaf>, HolderError> {
        Ok(project.at(source, names)?.and_then(Tree::leaf))
    };
    let own = at(&["version"])?;
    let parent = at(&["parent", "version"])?;
    let name = |leaf: Option<&Leaf>| leaf.and_then(|leaf| leaf.text(source));
    let family = match name(at(&["parent", "artifactId"])?) {
        Some(artifact) if !packages.is_empty() => packages.iter().any(|package| package == artifact),
        // Which builds belong together is not said: the same group with the same version is one.
        Some(_) => {
            let group = name(at(&["groupId"])?);
            own.is_none() || group.is_none() || group == name(at(&["parent", "groupId"])?)
        }
        None => false,
    };
    let parent = parent.filter(|leaf| family && leaf.text(source).is_none_or(|text| !text.contains("${")));
    let Some(own) = own else {
        let leaf = parent.ok_or_else(|| {
            missing("the pom.xml has no `project/version`", "add one, or name the pom.xml that states it")
        })?;
        let span = leaf.span(source)?;
        let mut places = vec![place(span)];
        siblings(source, project, packages, span, &mut places)?;
        return Ok(places);
    };
    let mut span = own.span(source)?;
    if source[span.start..span.end].contains("${") {
        span = property(source, project, span)?;
    }
    let mut places = vec![place(span)];
    if let Some(parent) = parent {
        let other = parent.span(source)?;
        if super::says_same(source, span, other) {
            places.push(place(other));
        }
    }
    siblings(source, project, packages, span, &mut places)?;
    Ok(places)
}

/// The dependencies on artifacts of the same build, `group:artifact` among `packages`, that state the version.
fn siblings(
    source: &str,
    project: &Tree,
    packages: &[String],
    version: Span,
    places: &mut Vec<Place>,
) -> Result<(), HolderError> {
    let text = |tree: &Tree, name: &str| tree.all(name).next().and_then(|part| part.text(source));
    let own = text(project, "groupId").or_else(|| text(project.all("parent").next()?, "groupId"));
    let managed = project.all("dependencyManagement").flat_map(|managed| managed.all("dependencies"));
    let lists = project.all("dependencies").chain(managed);
    for dependency in lists.flat_map(|list| list.all("dependency")) {
        let group = match text(dependency, "groupId") {
            Some("${project.groupId}" | "${pom.groupId}" | "${groupId}") => own,
            group => group,
        };
        let (Some(group), Some(artifact)) = (group, text(dependency, "artifactId")) else { continue };
        let is_sibling = packages.iter().any(|package| package.split_once(':') == Some((group, artifact)));
        let Some(stated) = dependency.all("version").next().and_then(Tree::leaf).filter(|_| is_sibling)
        else {
            continue;
        };
        // A range, or a property, which follows by itself, says something else.
        if let Ok(span) = stated.span(source)
            && super::says_same(source, version, span)
        {
            places.push(place(span));
        }
    }
    Ok(())
}

/// The property that `${revision}` names, the first one where there are several.
fn property(source: &str, project: &Tree, span: Span) -> Result<Span, HolderError> {
    let text = &source[span.start..span.end];
    let refuse = |help: String| HolderError::Dynamic { line: line_of(source, span.start), help };
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.split_once('}'))
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with("${"))
        .map(|(name, _)| name)
        .ok_or_else(|| refuse("state it whole, or by a property of its own".to_owned()))?;
    let property = project.at(source, &["properties", name])?.and_then(Tree::leaf).ok_or_else(|| {
        refuse(format!("there is no property `{}` here: name the file that states it", sanitize_line(name)))
    })?;
    let inner = property.span(source)?;
    if source[inner.start..inner.end].contains("${") {
        return Err(refuse(format!("the property `{}` names another one", sanitize_line(name))));
    }
    Ok(inner)
}

/// `Version`, else `VersionPrefix`, else `PackageVersion`; and what is derived from it where it says the same.
pub(super) fn msbuild(source: &str) -> Result<Vec<Place>, HolderError> {
    let root = tree(source)?;
    let project = root.get(source, "Project")?;
    let groups: Vec<&Tree> = project.into_iter().flat_map(|project| project.all("PropertyGroup")).collect();
    // A value made of other properties follows by itself.
    let stated = |name: &'static str| -> Result<Option<Span>, HolderError> {
        let found: Vec<&Tree> = groups
            .iter()
            .flat_map(|group| group.all(name))
            .filter(|part| part.leaf().is_some() && part.text(source).is_none_or(|text| !text.contains("$(")))
            .collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => one.leaf().map(|leaf| leaf.span(source)).transpose(),
            more => Err(several(source, name, more)),
        }
    };
    let suffix = stated("VersionSuffix").unwrap_or(None);
    let (first, span) = match (stated("Version")?, stated("VersionPrefix")?, stated("PackageVersion")?) {
        (Some(version), ..) => ("Version", version),
        (None, Some(prefix), _) => match suffix {
            Some(suffix) => {
                return Err(HolderError::Unsupported {
                    line: line_of(source, suffix.start),
                    problem: "the version is put together from VersionPrefix and VersionSuffix".to_owned(),
                });
            }
            None => ("VersionPrefix", prefix),
        },
        (None, None, Some(package)) => ("PackageVersion", package),
        (None, None, None) => {
            return Err(HolderError::Missing {
                expected: "no PropertyGroup has `Version`, `VersionPrefix` or `PackageVersion`".to_owned(),
                help: "add `<Version>0.1.0</Version>`".to_owned(),
            });
        }
    };
    let spelling = if first == "VersionPrefix" { Spelling::NumberOnly } else { Spelling::SemVer };
    let mut places = vec![Place { span, spelling }];
    for (name, spelling) in [
        ("VersionPrefix", Spelling::Number),
        ("PackageVersion", Spelling::SemVer),
        ("InformationalVersion", Spelling::SemVer),
        ("AssemblyVersion", Spelling::Number),
        ("FileVersion", Spelling::Number),
        ("AssemblyFileVersion", Spelling::Number),
    ] {
        if name == first {
            continue;
        }
        // One that is stated several times, per framework perhaps, is left alone.
        let Ok(Some(found)) = stated(name) else { continue };
        let found = match spelling {
            Spelling::Number => first_three(source, found),
            _ => found,
        };
        let text = &source[found.start..found.end];
        let same = match (spelling, Spelling::SemVer.read(&source[span.start..span.end])) {
            (Spelling::Number, Ok(version)) => Spelling::Number.write(&version).as_deref() == Ok(text),
            _ => super::says_same(source, span, found),
        };
        if same {
            places.push(Place { span: found, spelling });
        }
    }
    Ok(places)
}

/// `1.2.3` of `1.2.3.0`.
fn first_three(source: &str, span: Span) -> Span {
    let text = &source[span.start..span.end];
    match text.match_indices('.').nth(2) {
        Some((end, _)) if text[end..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            Span::new(span.start, span.start + end)
        }
        _ => span,
    }
}

fn place(span: Span) -> Place {
    Place { span, spelling: Spelling::SemVer }
}

/// An element that is not closed yet.
#[derive(Default)]
struct Open {
    name: String,
    parts: Vec<(String, Tree)>,
    text: Option<Leaf>,
}

impl Open {
    fn closed(mut self) -> (String, Tree) {
        if let Some(text) = self.text {
            self.parts.push((TEXT.to_owned(), Tree::Leaf(text)));
        }
        (self.name, Tree::Map(self.parts))
    }

    fn add(&mut self, start: usize, inner: Result<Span, &'static str>) {
        let inner = match self.text {
            None => inner,
            Some(_) => Err("the version is written in several pieces or with entities"),
        };
        let start = self.text.as_ref().map_or(start, |text| text.start);
        self.text = Some(Leaf { start, inner });
    }
}

/// An XML document by the local names of its elements.
pub(super) fn tree(source: &str) -> Result<Tree, HolderError> {
    let refuse = |offset: usize, problem: &str| {
        let (line, column) = line_and_column(source, offset);
        HolderError::Syntax { format: "XML", line, column, problem: sanitize_line(problem) }
    };
    let mut reader = Reader::from_str(source);
    let mut open = vec![Open::default()];
    let offset = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(source.len());
    loop {
        let start = offset(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|error| refuse(offset(reader.error_position()), &error.to_string()))?;
        let end = offset(reader.buffer_position());
        let raw = source.get(start..end).unwrap_or("");
        match event {
            Event::Eof => break,
            Event::Start(tag) => open.push(element(source, &tag).map_err(|problem| refuse(start, &problem))?),
            Event::Empty(tag) => {
                let empty = element(source, &tag).map_err(|problem| refuse(start, &problem))?;
                if let Some(parent) = open.last_mut() {
                    parent.parts.push(empty.closed());
                }
            }
            Event::End(_) => {
                let Some(closed) = open.pop().filter(|_| !open.is_empty()) else {
                    return Err(refuse(start, "an element ends that did not begin"));
                };
                if let Some(parent) = open.last_mut() {
                    parent.parts.push(closed.closed());
                }
            }
            Event::Text(_) if raw.trim().is_empty() => {}
            Event::Text(_) => {
                let begin = start + raw.len() - raw.trim_start().len();
                if open.len() == 1 {
                    return Err(refuse(begin, "text stands outside of every element"));
                }
                if let Some(parent) = open.last_mut() {
                    parent.add(begin, Ok(Span::new(begin, begin + raw.trim().len())));
                }
            }
            Event::CData(_) => {
                if let Some(parent) = open.last_mut() {
                    parent.add(start, Ok(Span::new(start + 9, end.saturating_sub(3).max(start + 9))));
                }
            }
            Event::GeneralRef(_) => {
                if let Some(parent) = open.last_mut() {
                    parent.add(start, Err("the version is written with entities"));
                }
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) => {}
        }
        if open.len() > DEEPEST {
            return Err(refuse(start, "it is nested too deeply"));
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(root), true) if !root.parts.is_empty() => Ok(root.closed().1),
        (Some(_), true) => Err(refuse(0, "an element is expected")),
        _ => Err(refuse(source.len(), "an element does not end")),
    }
}

fn element(source: &str, tag: &BytesStart<'_>) -> Result<Open, String> {
    let mut open = Open { name: tag.local_name().as_ref().to_owned(), ..Open::default() };
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value: &str = &attribute.value;
        // The reader lends slices of the source; where they begin says where they stand.
        let start = (value.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
        let inner = match start.checked_add(value.len()).and_then(|end| source.get(start..end)) {
            Some(text) if text == value && !value.contains('&') => Ok(Span::new(start, start + value.len())),
            _ => Err("the version is written with entities"),
        };
        let name = format!("@{}", attribute.key.local_name().as_ref());
        open.parts.push((name, Tree::Leaf(Leaf { start, inner })));
    }
    Ok(open)
}
