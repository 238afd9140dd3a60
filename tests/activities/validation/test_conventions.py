"""What is a test by its name and place, as the runners themselves go by them, and what is not."""

from __future__ import annotations

import pytest

from activities.validation.conventions import is_test

TESTS = """
testgreet.py test.py tests.py test_greet.py greet_test.py conftest.py app/testutils.py
greet-test.js test.js greet_test.mjs test-greet.cjs greet.test.tsx foo_test.ts foo_spec.ts foo-spec.ts spec.js tests.js
greetSpec.js login.cy.ts greet.specs.ts
src/tests.rs src/foo/tests.rs src/foo/test.rs src/foo_test.rs src/foo_tests.rs
TestFoo.java FooTest.java FooTestCase.java FooTests.java FooIT.java ITFoo.java FooITCase.java FooSpec.kt FooTest.php
FooSpec.hs Spec.hs foo_SUITE.erl foo_SUITE_data/x.txt foo_tests.erl foo_unittest.cc foo_test.cc test_foo.cpp
t/01-load.t basic.t t/lib/Help.pm t/data/a.txt
login.robot features/login.feature features/steps/login.py features/environment.py features/step_definitions/a.rb
spec/support/help.rb spec/fixtures/a.json spec/models/user_spec.rb spec/factories/users.yml
gems/a/spec/a.rb spec/help.js
cypress/support/commands.js cypress/fixtures/a.json
foo_test.sh run_tests.sh run-tests.sh test.sh test_foo.sh a.bats Greet.Tests.ps1
test_foo.rb foo_test.rb test_foo.php foo_test.go foo_test.exs foo_test.dart
App.Tests/Help.cs src/androidTest/A.kt src/integrationTest/a.json web/a.spec.ts-snapshots/a.png Tests/AppTests/A.swift
a/__mocks__/fs.js test/data.bin src/test/resources/a.json testdata/x
"""

SOURCES = """
contest.py latest.js testing.md attest.go spec.md contest/app.py latest/index.js testing.py lib/testing/tool.py
greatest.rs attest.rs manifest.java Latest.java Contest.kt request.rb protest.php fastest.sh protest.t.js
spec/openapi.yaml spec/README.md specs/design.json src/spec/parser.ts src/features/cart/support/Page.tsx
src/features/cart.ts features/flags.py inspect.js aspect.ts perspective.rb specification.js specimen.py
tests/README.md docs/testing.rst t.py at.py src/t/en.pm Unit.hs suite.erl testament.txt biotest.cfg crystal.cr
Item.java ITelemetry.java feature.py robot.py template.ts app/models/user.rb index.ts
"""


@pytest.mark.parametrize("path", TESTS.split())
def test_what_a_runner_collects_by_itself_is_a_test(path: str) -> None:
    assert is_test(path)


@pytest.mark.parametrize("path", SOURCES.split())
def test_what_only_sounds_like_one_is_not(path: str) -> None:
    assert not is_test(path)
