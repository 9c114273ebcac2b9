//! Holders that are source code.

use super::*;

#[test]
fn python_modules() {
    let kind = of("sea/__init__.py");
    for marked in [
        "__version__ = '«1.2.3»'\n",
        "\"\"\"Doc: __version__ = '0'.\"\"\"\nfrom a import b\n\n__version__ = \"«1.2.3»\"  # not \"0\"\nversion = '1.2.3'\n",
        "__version__: str = '«1.2.3rc1»'",
        "__version__: Final[str] = u\"«1.2.3»\"\n",
        "__version__ = version = '«1.2.3»'\n__version_tuple__ = version_tuple = (1, 2, 3)\n",
        "VERSION = \"«1.2.3»\"\n",
        "version = r'''«1.2.3»'''\n",
        "def f():\n    __version__ = '0'\n\n__version__ = '«1.2.3»'; x = 1\n",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("import a\n", "no `__version__` is assigned"),
        ("__version__ = '1.2.3'\n__version__ = '1.2.3'\n", "`__version__` is stated 2 times (lines 1, 2)"),
        ("__version__ = version('sea')\n", "dynamic"),
        ("__version__ = f'{a}.3'\n", "made of parts"),
        ("__version__ = '1.2.' + '3'\n", "put together from parts"),
        ("__version__ = '1.2.' '3'\n", "put together from parts"),
        ("__version__ = '1.2\\x2e3'\n", "escapes"),
        ("__version__ = '1.2.3\n", "escapes or made of parts"),
        ("__version__ == '1.2.3'\n", "no `__version__` is assigned"),
        ("if True:\n    __version__ = '1.2.3'\n", "no `__version__` is assigned"),
    ] {
        refused(&kind, source, expect);
    }
}

#[test]
fn setup_files() {
    let kind = of("setup.py");
    for marked in [
        "from setuptools import setup\nsetup(name='a', version='«1.2.3»', install_requires=['b==1.2.3'])\n",
        "import setuptools\nversion = \"«1.2.3»\"\nsetuptools.setup(\n    name=name,\n    version=version,\n    options=dict(version='0'),\n)\n",
        "setup(\n    # version='0'\n    version=\"«1.2.3b2»\")",
        "VERSION = '«1.2.3»'\n\ndef setup(version='0'): pass\nsetup(version=VERSION)\n",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("setup(name='a')\n", "no `setup(...)` here has a `version`"),
        ("setup(version='1.2.3', version='1.2.3')\n", "stated 2 times"),
        ("setup(version=find_version('a.py'))\n", "line 1: the version is dynamic"),
        ("setup(version=about['v'])\n", "dynamic"),
        ("from a import __version__\nsetup(version=__version__)\n", "line 2: the version is dynamic"),
        ("v = '1'\nv = '2'\nsetup(version=v)\n", "`v` is stated 2 times"),
        ("setup(version='1.2.' + x)\n", "put together from parts"),
    ] {
        refused(&kind, source, expect);
    }
    let kind = of("setup.cfg");
    for marked in [
        "[bumpversion]\nversion = 9.9.9\n\n[metadata]\nname = sea\nversion = «1.2.3»\n\n[options]\nversion = 0\n",
        "[metadata]\nversion: «1.2.3rc1»",
        "[metadata]\n; version = 0\n\tversion=«1.2.3»  \n",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("[metadata]\nname = a\n", "no `version` under [metadata]"),
        ("version = 1.2.3\n", "no `version` under [metadata]"),
        ("[metadata]\nversion = 1.2.3\nversion = 1.2.3\n", "stated 2 times (lines 2, 3)"),
        (
            "[metadata]\nversion = attr: sea.__version__\n",
            "line 2: the version is dynamic, made by the build tool; it is read from sea.__version__",
        ),
        ("[metadata]\nversion = file: VERSION\n", "read from the file VERSION"),
    ] {
        refused(&kind, source, expect);
    }
}

#[test]
fn ruby() {
    let kind = of("lib/sea/version.rb");
    for marked in [
        "# frozen_string_literal: true\n\nmodule Sea\n  VERSION = \"«1.2.3»\".freeze\nend\n",
        "=begin\nVERSION = '0'\n=end\nmodule Sea\n  VERSION = '«1.2.3.rc1»' # VERSION = '0'\n  MIN_VERSION = '1.2.3'\nend",
        "module Sea\n  module Version\n    STRING = '«1.2.3»'\n  end\nend\n",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("module Sea\nend\n", "no `VERSION` is assigned"),
        ("VERSION = '1.2.3'\nVERSION = '1.2.3'\n", "`VERSION` is stated 2 times"),
        ("VERSION = \"#{MAJOR}.2.3\"\n", "made of parts"),
        ("VERSION = [1, 2, 3].join('.')\n", "dynamic"),
    ] {
        refused(&kind, source, expect);
    }
    // RubyGems' other spellings are read; the dotted one is written.
    for (source, version) in
        [("1.2.3.pre.rc.1", "1.2.3-rc.1"), ("1.2.3-rc.1", "1.2.3-rc.1"), ("7.1.0.beta1", "7.1.0-beta.1")]
    {
        assert_eq!(stated(&kind, &format!("VERSION = '{source}'\n")), Ok(v(version)));
    }
    let kind = of("sea.gemspec");
    for marked in [
        "Gem::Specification.new do |spec|\n  spec.name = 'sea'\n  spec.version = '«1.2.3»'\n  spec.required_ruby_version = '>= 2.7.0'\n  spec.add_dependency 'a', '1.2.3'\nend\n",
        "version = '«1.2.3.beta2»'\nGem::Specification.new { |s|\n  s.version = version\n}\n",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("Gem::Specification.new do |s|\nend\n", "no `version`"),
        ("s.version = Sea::VERSION\n", "name the version.rb that states it"),
        ("s.version = '1.2.3'\ns.version = '1.2.3'\n", "stated 2 times"),
    ] {
        refused(&kind, source, expect);
    }
}

#[test]
fn elixir() {
    let kind = of("mix.exs");
    for marked in [
        "defmodule Sea.MixProject do\n  use Mix.Project\n\n  def project do\n    [\n      app: :sea,\n      version: \"«1.2.3»\", # \"0\"\n      deps: deps(),\n      docs: [version: \"0\"]\n    ]\n  end\n\n  defp deps do\n    [{:a, \"1.2.3\"}]\n  end\nend\n",
        "defmodule Sea.MixProject do\n  @version \"«1.2.3-rc.1»\"\n  @source \"x\"\n  def project do\n    [app: :sea, version: @version]\n  end\nend",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("defmodule A do\nend\n", "no `version:`"),
        ("def project do\n [app: :a]\nend\n", "no `version:`"),
        ("def project do\n [version: \"1.2.3\",\n version: \"1.2.3\"]\nend\n", "stated 2 times (lines 2, 3)"),
        (
            "@version \"1.2.3\"\n@version \"1.2.3\"\ndef project do\n [version: @version]\nend\n",
            "stated 2 times (lines 1, 2)",
        ),
        ("def project do\n [version: version()]\nend\n", "dynamic"),
        ("def project do\n [version: \"#{x}.1\"]\nend\n", "made of parts"),
    ] {
        refused(&kind, source, expect);
    }
}

#[test]
fn go() {
    let kind = of("version.go");
    for marked in [
        "// Package sea has Version \"0\".\npackage sea\n\nconst Version = \"«1.2.3»\"\n",
        "package sea\n\nvar (\n\tCommit = \"\"\n\tVersion = \"v«1.2.3-rc.1»\" // set by ldflags\n)\n\nfunc f() {\n\tVersion := \"0\"\n}\n",
        "package sea\nconst version string = `«1.2.3»`",
        "package sea\nconst (\n\tMinVersion = \"1.2.3\"\n\tversion    = \"«1.2.3»\"\n)\n",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("package sea\n", "no constant or variable `Version`"),
        ("package sea\nvar Version string\n", "no constant or variable `Version`"),
        ("const Version = \"1.2.3\"\nvar version = \"1.2.3\"\n", "stated 2 times (lines 1, 2)"),
        ("const Version = \"1.\" + minor\n", "put together from parts"),
        ("const Version = v\n", "dynamic"),
    ] {
        refused(&kind, source, expect);
    }
    assert!(stated(&kind, "var Version = \"dev\"\n").unwrap_err().to_string().contains("`dev` is not a"));
}

#[test]
fn gradle() {
    for (path, marked) in [
        (
            "build.gradle",
            "plugins {\n    id 'java'\n    id 'a.b' version '1.2.3'\n}\n\ngroup = 'sea'\nversion = '«1.2.3»'\n\ndependencies {\n    implementation 'a:b:1.2.3'\n}\n",
        ),
        ("build.gradle", "version '«1.2.3-SNAPSHOT»' // version '0'\n"),
        ("build.gradle", "allprojects {\n\tgroup 'sea'\n\tversion = \"«1.2.3»\"\n}\n"),
        (
            "build.gradle.kts",
            "plugins {\n    kotlin(\"jvm\") version \"1.2.3\"\n}\nval mine = \"«1.2.3»\"\nversion = mine\n",
        ),
        ("build.gradle.kts", "project.version = \"«1.2.3»\"\n/* version = \"0\" */\n"),
        (
            "app/build.gradle",
            "android {\n    defaultConfig {\n        versionCode 7\n        versionName \"«1.2.3»\"\n    }\n}\n",
        ),
        (
            "gradle.properties",
            "# version=0\norg.gradle.jvmargs=-Xmx2g\nversion=«1.2.3»\nkotlin.version=1.2.3\n",
        ),
        ("gradle.properties", "VERSION_NAME = «1.2.3-SNAPSHOT»\nVERSION_CODE=7"),
    ] {
        check(&of(path), marked);
    }
    for (path, source, expect) in [
        ("build.gradle", "group = 'sea'\n", "the build states no `version`"),
        ("build.gradle", "version = '1.2.3'\nversion = '1.2.3'\n", "stated 2 times (lines 1, 2)"),
        ("build.gradle", "version = project.findProperty('v')\n", "dynamic"),
        ("build.gradle", "version = \"${major}.2.3\"\n", "made of parts"),
        ("build.gradle", "version = '1.2.3' + suffix\n", "put together"),
        ("gradle.properties", "a=b\n", "neither `version` nor `VERSION_NAME`"),
        ("gradle.properties", "version=1.2.3\nversion=1.2.3\n", "stated 2 times (lines 1, 2)"),
    ] {
        refused(&of(path), source, expect);
    }
}
