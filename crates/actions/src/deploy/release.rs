//! What is put onto hosts with compose, found out before any of them is touched: files, space, images, digests.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::config::Colour;
use windlass_core::plan::sha256_hex;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::drift::{self, Service};
use super::tool::{CONFIG, PINS, call, pins, variables};
use super::work::Work;
use super::{Site, Wanted};
use crate::adapters::git::Git;
use crate::adapters::remote::{File, Host, Record};

/// What must be free on a host, in mebibytes, beside what images take.
const SPACE: u32 = 32;

/// What is put onto the hosts. Nothing, where a script does it all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Release {
    /// Its folder's name.
    pub(crate) name: String,
    files: Vec<File>,
    /// The compose project.
    pub(crate) project: String,
    /// What must run.
    pub(crate) services: BTreeMap<String, Service>,
    /// The image of each service, by digest.
    pub(crate) images: BTreeMap<String, String>,
}

impl Release {
    /// The files of a version, with nothing asked of a host yet: from its tag, and from the commit that is checked out while
    /// there is no tag.
    pub(crate) async fn of(site: &Site, wanted: &Wanted, context: &Context) -> Result<Self> {
        let git = Git::of(context);
        let tag = format!("refs/tags/{}", wanted.tag);
        let has_tag =
            git.ask(["rev-parse", "--verify", "--quiet", &format!("{tag}^{{commit}}")]).await?.is_some();
        let revision = if has_tag { tag.as_str() } else { "HEAD" };
        let mut files = Vec::new();
        let mut all = Vec::new();
        for path in &site.environment.compose {
            let text = git.read(["show", &format!("{revision}:{path}")]).await.map_err(|error| {
                ActionError::Final(format!("the compose file {path} cannot be read at {revision}: {error}"))
            })?;
            all.extend_from_slice(path.as_bytes());
            all.extend_from_slice(text.as_bytes());
            files.push((path.clone(), text.into_bytes()));
        }
        let name = folder_name(&wanted.version, &sha256_hex(&all));
        Ok(Self { name, files, ..Self::default() })
    }

    /// Its compose files.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }
}

impl Work<'_> {
    /// Puts the files onto all hosts, and the images that `demanded` does not refuse, each by its digest.
    pub(crate) async fn prepare(
        &self,
        colour: Option<Colour>,
        demanded: &BTreeMap<String, String>,
    ) -> Result<Release> {
        let mut release = Release::of(self.site, &self.wanted, self.context).await?;
        let reached = self.reached();
        self.each(&reached, |host| host.put(self.context, self.fence, SPACE, &release.name, &release.files))
            .await?;
        let Some(first) = reached.first().map(|index| self.host(*index)) else {
            return Err(ActionError::Failed("no host can be reached".into()));
        };
        let paths = release.paths();
        let mut draft = self.draft(&release, colour);
        let config = self.compose(first, &draft, &paths, &CONFIG, None).await?;
        (release.project, release.services) = drift::services(&config).map_err(ActionError::Final)?;
        if let Some(colour) = colour {
            release.project = format!("{}-{}", release.project, colour.as_str());
        }
        release.images = match self.pinned_before(&release) {
            Some(images) => images,
            None => self.resolve(first, &release, &draft).await?,
        };
        refuse_others(&release.images, demanded)?;
        draft = self.draft(&release, colour);
        let mut paths = paths;
        paths.push(PINS.to_owned());
        self.each(&reached, |host| async {
            self.context.log(&format!("{}: pulling images", host.name));
            let pins = Some(pins(&release.images));
            self.compose(host, &draft, &paths, &["pull", "--quiet"], pins).await.map(drop)
        })
        .await?;
        Ok(release)
    }

    /// The images that this item pinned before it was interrupted: a tag may have moved since.
    fn pinned_before(&self, release: &Release) -> Option<BTreeMap<String, String>> {
        let mut ours = self.reached().into_iter().filter_map(|index| self.ours(index));
        ours.find(|record| record.release == release.name).map(|record| record.images.clone())
    }

    /// Pulls the images on one host and asks by which digest it got each.
    async fn resolve(
        &self,
        first: &Host,
        release: &Release,
        draft: &Record,
    ) -> Result<BTreeMap<String, String>> {
        self.context.log(&format!("{}: resolving images", first.name));
        let images = images(&release.services);
        let (paths, environment) = (release.paths(), variables(self.site, draft));
        let call = call(draft, &paths, &environment);
        let resolved = first.resolve(self.context, self.fence, &call, &images).await?;
        pinned_all(&release.services, &images, &resolved.digests)
    }
}

/// The images of services, each once.
pub(crate) fn images(services: &BTreeMap<String, Service>) -> Vec<&str> {
    let images: BTreeSet<&str> = services.values().map(|service| service.image.as_str()).collect();
    images.into_iter().collect()
}

/// The image of each service by its digest, from the digests that `images` are known by.
pub(crate) fn pinned_all(
    services: &BTreeMap<String, Service>,
    images: &[&str],
    digests: &[Vec<String>],
) -> Result<BTreeMap<String, String>> {
    let known: BTreeMap<&str, String> = images
        .iter()
        .zip(digests)
        .filter_map(|(image, digests)| Some((*image, pinned(image, digests)?)))
        .collect();
    let image = |(name, service): (&String, &Service)| match known.get(service.image.as_str()) {
        Some(image) => Ok((name.clone(), image.clone())),
        None => Err(ActionError::Final(format!(
            "the image {} of {name} has no digest: it is not from a registry; push it to one",
            service.image
        ))),
    };
    services.iter().map(image).collect()
}

/// Refuses another image than the one that was demanded for a service.
pub(crate) fn refuse_others(
    images: &BTreeMap<String, String>,
    demanded: &BTreeMap<String, String>,
) -> Result<()> {
    for (service, wanted) in demanded {
        let found = images.get(service).map_or("nothing", String::as_str);
        let digest = wanted.rsplit('@').next().unwrap_or(wanted);
        if found.rsplit('@').next() != Some(digest) {
            return Err(ActionError::Final(format!(
                "the image of {service} is {}, not {}: the registry has another image under this name than the one \
                 that was built; nothing was touched",
                drift::short(found),
                digest.chars().take(19).collect::<String>()
            )));
        }
    }
    Ok(())
}

/// An image by the digest that its own repository knows it by.
fn pinned(image: &str, digests: &[String]) -> Option<String> {
    if image.contains("@sha256:") {
        return Some(image.to_owned());
    }
    let repository = |name: &str| {
        let name = name.split('@').next().unwrap_or(name);
        // A colon before the last slash is a port's.
        let end = name.rfind('/').map_or(0, |slash| slash + 1);
        let tag = name.get(end..).and_then(|last| last.find(':')).map(|colon| end + colon);
        let name = name.get(..tag.unwrap_or(name.len())).unwrap_or(name);
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    };
    let wanted = repository(image);
    digests.iter().find(|digest| digest.contains("@sha256:") && repository(digest) == wanted).cloned()
}

/// A folder for a version's files: the same content gives the same one, and no other.
fn folder_name(version: &str, digest: &str) -> String {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "._+-".contains(letter) { letter } else { '_' };
    let version: String = version.chars().take(80).map(plain).collect();
    format!("v{version}-{}", digest.get(..10).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_pinned_by_their_own_repository() {
        let digests = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (image, known, expect) in [
            (
                "10.0.0.1:5000/shop/web:1.0",
                &["10.0.0.1:5000/shop/web@sha256:aa"][..],
                Some("10.0.0.1:5000/shop/web@sha256:aa"),
            ),
            (
                "10.0.0.1:5000/web",
                &["other/web@sha256:bb", "10.0.0.1:5000/web@sha256:aa"],
                Some("10.0.0.1:5000/web@sha256:aa"),
            ),
            ("nginx:1.27", &["nginx@sha256:aa"], Some("nginx@sha256:aa")),
            ("docker.io/library/nginx", &["nginx@sha256:aa"], Some("nginx@sha256:aa")),
            ("r/web@sha256:cc", &[], Some("r/web@sha256:cc")),
            ("built-here:1", &[], None),
            ("web:1", &["other@sha256:aa"], None),
        ] {
            assert_eq!(pinned(image, &digests(known)).as_deref(), expect, "{image}");
        }
    }

    #[test]
    fn a_folder_is_a_folder_whatever_the_version() {
        for (version, expect) in
            [("1.2.0", "v1.2.0-0123456789"), ("1!2.0/../x", "v1_2.0_.._x-0123456789"), ("", "v-0123456789")]
        {
            assert_eq!(folder_name(version, "0123456789abcdef"), expect);
        }
    }
}
