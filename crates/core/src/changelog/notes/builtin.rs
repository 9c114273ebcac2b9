//! The built-in variants of the notes, by who reads them.

/// A variant: its name, what it is for, and its template.
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) purpose: &'static str,
    pub(super) template: &'static str,
}

/// All of them; the first one is the default.
pub(super) const VARIANTS: [Variant; 5] = [
    Variant {
        name: "default",
        purpose: "for a release's page",
        template: "\
{% if draft_of %}
> **Draft** of the notes of {{ draft_of }}, as of {{ version }}.

{% endif %}
{{ summary }}

## Breaking Changes

{% for one in breaking %}
- {{ one.text }}
{% if one.details %}

  {{ one.details }}

{% endif %}
{% if one.guide %}

  **Migration:** {{ one.guide }}

{% endif %}
{% else %}
None.
{% endfor %}

{% if upgrade %}
## Upgrade Instructions

{% for one in upgrade %}
{{ one }}

{% endfor %}
{% endif %}
{% if changes %}
## Changes

{{ changes }}
{% endif %}
{% for section in sections if not section.internal %}

## {{ section.title }}

{% for entry in section.entries %}
- {{ entry.text }}
{% endfor %}
{% endfor %}

{% if known_issues %}
## Known Issues

{% for one in known_issues %}
{{ one }}

{% endfor %}
{% endif %}
{% if contributors %}
## Contributors

{% for name in contributors[:40] %}
- {{ name }}
{% endfor %}
{% if contributors | length > 40 %}
- and {{ contributors | length - 40 }} more
{% endif %}
{% endif %}

{% if changelog_url or compare_url %}
Full changelog: {{ changelog_url or compare_url }}
{% endif %}
",
    },
    Variant {
        name: "internal",
        purpose: "for those who built it: every commit, with its id and author",
        template: "\
{% if draft_of %}
> **Draft** of the notes of {{ draft_of }}, as of {{ version }}.

{% endif %}
{{ summary }}

{{ commits }} {{ 'commit' if commits == 1 else 'commits' }}{% if previous_tag %} since {{ previous_tag }}{% endif %}\
{% if contributors %}, by {{ contributors | length }} {{ 'person' if contributors | length == 1 else 'people' }}{% endif %}.

{% if breaking %}
## Breaking Changes

{% for one in breaking %}
- {{ one.text }}{% if not one.guide %} (no migration text){% endif %}

{% if one.details %}

  {{ one.details }}

{% endif %}
{% if one.guide %}

  **Migration:** {{ one.guide }}

{% endif %}
{% endfor %}
{% endif %}
{% for one in upgrade %}

**Upgrade:** {{ one }}
{% endfor %}
{% for section in history %}

## {{ section.title }}

{% for entry in section.entries %}
- {{ entry.text }} ({{ entry.short_id }}, {{ entry.author }})
{% endfor %}
{% endfor %}
{% for one in known_issues %}

**Known issue:** {{ one }}
{% endfor %}

{% if compare_url %}
{{ compare_url }}
{% endif %}
",
    },
    Variant {
        name: "users",
        purpose: "for those who use it: nothing on documentation, tests and dependencies",
        template: "\
{{ summary }}

{% if breaking %}
## Before you upgrade

{% for one in breaking %}
- {{ one.text }}
{% if one.details %}

  {{ one.details }}

{% endif %}
{% if one.guide %}

  **What to do:** {{ one.guide }}

{% endif %}
{% endfor %}
{% endif %}
{% for one in upgrade %}

{{ one }}
{% endfor %}

{{ changes }}
{% for section in sections if section.for_users %}

## {{ section.title }}

{% for entry in section.entries %}
- {{ entry.text }}
{% endfor %}
{% endfor %}

{% if known_issues %}
## Known Issues

{% for one in known_issues %}
{{ one }}

{% endfor %}
{% endif %}
",
    },
    Variant {
        name: "short",
        purpose: "one paragraph, for a chat",
        template: "\
{% if draft_of %}Draft: {% endif %}{{ summary | replace('\n', ' ') }}\
{% if breaking %} Breaking: {{ breaking | map(attribute='text') | join('; ') | replace('\n', ' ') }}.{% endif %}\
{% if changelog_url or compare_url %} {{ changelog_url or compare_url }}{% endif %}

",
    },
    Variant {
        name: "email",
        purpose: "a message with its subject on the first line",
        template: "\
Subject: {% if draft_of %}[draft] {% endif %}{{ project or 'Release' }} {{ version or 'unreleased' }}

Hello,

{{ summary }}

{% if breaking %}
Before you upgrade:

{% for one in breaking %}
- {{ one.text }}
{% if one.guide or one.details %}
  {{ one.guide or one.details }}
{% endif %}
{% endfor %}
{% endif %}
{% for one in upgrade %}

{{ one }}
{% endfor %}

{{ changes }}
{% for section in sections if section.for_users %}

{{ section.title }}:

{% for entry in section.entries %}
- {{ entry.text }}
{% endfor %}
{% endfor %}

{% if known_issues %}
Known issues:

{% for one in known_issues %}
{{ one }}

{% endfor %}
{% endif %}
{% if changelog_url or compare_url %}
All changes: {{ changelog_url or compare_url }}
{% endif %}
",
    },
];
