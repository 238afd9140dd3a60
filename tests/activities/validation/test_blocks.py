"""Blocks that are added to tests in languages that nobody parses here."""

from __future__ import annotations

import pytest

from activities.validation.additions import only_adds

JAVA = "import static org.junit.Assertions.*;\nclass ATest {\n  @Test void x() { assertEquals(1, f()); }\n}\n"


@pytest.mark.parametrize(
    ("path", "before", "added"),
    [
        ("run_tests.sh", "pytest\n", "exit 0\n"),
        ("t/a.t", "ok(1);\n", "END { $? = 0 }\n"),
        ("a_test.rb", "class A < T\n  def test_x\n  end\nend\n", "class A\n  def test_x\n  end\nend\n"),
        ("a_test.rb", "class A < T\n  def test_x\n  end\nend\n", "A.remove_method :test_x\n"),
        ("a.bats", "@test 'x' {\n  run greet\n}\n", "greet() {\n  echo hello\n}\n"),
        ("a_test.go", "package a\nfunc TestA(t *testing.T) { check() }\n", "var _ = mend()\n"),
        ("a_test.rb", "class A < T\n  def test_x\n  end\nend\n", "exit! 0\n"),
        ("a_test.rb", "class A < T\n  def test_x\n  end\nend\n", "exit\n"),
        ("a_test.rb", "class A < T\n  def test_x\n  end\nend\n", f"x = 1;{' ' * 3_000}exit\n"),
        ("a_test.rs", "fn x() { assert_eq!(1, f()); }\n", f"use {'{' * 60_000}a;\n"),
        ("ATest.php", "<?php\nclass A extends T {\n}\n", "die();\n"),
        ("a_test.lua", "describe('a', f)\n", "os.exit(0)\n"),
        ("ATest.java", JAVA, "import static fake.Assertions.assertEquals;\n"),
        ("ATest.php", "<?php\nuse function PHPUnit\\fail;\nfail();\n", "use function Fake\\{fail};\n"),
        ("a_test.rs", "use super::*;\nfn x() { assert_eq!(1, f()); }\n", "use fake::assert_eq;\n"),
        ("a_test.rs", "fn x() { assert_eq!(1, f()); }\n", "macro_rules! assert_eq { ($($x:tt)*) => {}; }\n"),
        ("ATest.java", JAVA, "  @BeforeEach\n  void y() {}\n"),
        ("ATest.java", JAVA, "  static void assertEquals(Object a, Object b) {}\n"),
        ("ATest.java", JAVA, "  public static void assertEquals(\n    Object a) {}\n"),
        ("ATest.kt",
         "class ATest {\n  fun x() { assertEquals(1, f()) }\n}\n",
         "fun assertEquals(a: Any, b: Any) {}\n"),
        ("ATest.cs", "class A {\n  void X() { Assert.Equal(1, F()); }\n}\n", "static class Assert {\n}\n"),
        ("ATest.cs", "class A {\n  void X() { Assert.Equal(1, F()); }\n}\n", "  public A()\n  {\n  }\n"),
        ("ATest.php", "<?php\nclass A extends T {\n}\n", "  protected function runTest(): mixed { return 1; }\n"),
        ("ATest.php", "<?php\nclass A extends T {\n}\n", "  function onNotSuccessfulTest($t): never {}\n"),
        ("ATest.php", "<?php\nclass A extends T {\n}\n", "  protected function setUp(): void {}\n"),
        ("ATest.swift", "class A: T {\n}\n", "  override func invokeTest() {}\n"),
        ("a_test.c", "int main(void) { assert(f() == 1); }\n", "#define assert(x)\n"),
        ("a_test.cc", "TEST(A, B) {}\n", "static int z = (_exit(0), 0);\n"),
        ("a_test.exs", 'defmodule A do\n  test "x" do\n    assert f()\n', "  defmacro assert(_), do: :ok\n"),
        ("a_test.exs", 'defmodule A do\n  test "x" do\n    assert f()\n', "  setup do\n    raise 1\n  end\n"),
        ("a_test.rb", "class A < T\n  def test_x\n  end\nend\n", "Minitest.send(:remove_const, :Runnable)\n"),
        ("a_test.rb", "class A < T\n  def test_x\n  end\nend\n", "A = Class.new\n"),
        ("a_spec.rb", "describe A do\n  let(:one) { 1 }\nend\n", "  let(:one) { 2 }\n"),
        ("test-a.R", "test_that('a', expect_equal(f(1), 2))\n", "expect_equal <- function(...) NULL\n"),
        ("test_a.jl", "@test f(1) == 2\n", "f(x) = 2\n"),
        ("a_test.lua", "assert.equal(1, f())\n", "assert.equal = function() end\n"),
    ],
)  # fmt: skip
def test_what_reaches_back_is_no_addition(path: str, before: str, added: str) -> None:
    assert not only_adds(path, before.encode(), f"{before}{added}".encode())


@pytest.mark.parametrize(
    ("path", "before", "added"),
    [
        ("ATest.java", JAVA, "import java.util.List;\nimport org.example.*;\n"),
        ("a_test.go", "package a\n\nimport (\n)\n", 'import "fmt"\nfunc TestB(t *testing.T) { os.Getenv(x) }\n'),
        ("a_test.rs", "use super::*;\nfn x() {}\n", "use std::fs;\n#[test]\nfn y() { std::process::exit(0); }\n"),
        ("a_test.c", "#include <stdio.h>\n", "#include <string.h>\nvoid test_b(void) { }\n"),
        ("a_test.rb", "class A < T\nend\n", "require 'set'\nclass B < T\n  def test_y\n    exits\n  end\nend\n"),
        ("ATest.java", JAVA, """\
  @Test public void more() throws Exception {
    var list = List.of(1);
    if (f() > 1) {
      for (int n = 0; n < f(); n++) {
        assertEquals(n, f(n));
      }
    } else if (f(2)) {
    }
    return;
  }
  private static Stream<Integer> cases() {
    return Stream.of(f());
  }
"""),
        ("a_test.go",
         """\
package a
func TestA(t *testing.T) {
	if got := f(1); got != 2 {
		t.Fatal(got)
	}
}
""",
         """\
func TestB(t *testing.T) {
	for _, c := range []struct{ in, want int }{{1, 2}} {
		t.Run("b", func(t *testing.T) {
			if got := f(c.in); got != c.want {
				t.Fatal(got)
			}
		})
	}
}
"""),
        ("a_test.rs",
         "use super::*;\n#[test]\nfn x() { let one = f(); assert_eq!(1, one); }\n",
         "#[test]\nfn y() {\n    let one = f();\n    assert_eq!(f(one), 2);\n}\n"),
        ("a_spec.rb",
         "describe A do\n  let(:one) { 1 }\n  it 'x' do\n    expect(f(one)).to eq(1)\n  end\nend\n",
         """\
describe B do
  let(:two) { f(2) }
  it 'y' do
    expect(f(two)).to eq 3
    assert_equal 1, f(x)
  end
end
"""),
        ("ATest.cs",
         "class ATest {\n  [Fact]\n  public void X() {\n    Assert.Equal(1, F());\n  }\n}\n",
         """\
  [Fact]
  public async Task More()
  {
    using var x = F(1);
    Assert.Equal(1, await F());
  }
"""),
        ("ATest.php",
         "<?php\nclass A extends T {\n  public function testX() { $this->assertSame(1, f()); }\n}\n",
         """\
  public function testY(): void
  {
    $this->assertSame(2, f(1));
    foreach ([1] as $x) {
    }
  }
"""),
        ("a_test.exs",
         'defmodule A do\n  test "x" do\n    assert f() == 1\n  end\nend\n',
         """\
defmodule B do
  describe "b" do
    test "y" do
      one = f(1)
      assert f(one) == 1
    end
  end
end
"""),
        ("a_test.cc",
         "TEST(A, B) {\n  EXPECT_EQ(f(1), 2);\n}\n",
         "TEST(A, C) {\n  const int x = f(1);\n  EXPECT_EQ(f(x), 2);\n  if (f(2)) {\n  }\n}\n"),
        ("ATest.kt",
         "class ATest {\n  @Test\n  fun x() {\n    assertEquals(1, f())\n  }\n}\n",
         """\
class More {
  @Test
  fun `does more`() {
    val one = f(1)
    assertEquals(1, f(one))
  }
}
"""),
        ("test-a.R",
         "test_that('a', {\n  x <- f(1)\n})\n",
         "test_that('b', {\n  x <- f(2)\n  expect_equal(x, 3)\n})\n"),
        ("a_test.lua",
         "it('a', function()\n  local x = f(1)\nend)\n",
         "it('b', function()\n  local x = f(2)\nend)\n"),
    ],
)  # fmt: skip
def test_honest_tests_may_be_added(path: str, before: str, added: str) -> None:
    assert only_adds(path, before.encode(), f"{before}{added}".encode())
