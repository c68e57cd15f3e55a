"""Random Nix expressions, each on one line: mostly of the types that what is around them wants, now and then of another.

The same seed gives the same expressions. They do nothing to the machine, and are made to end.
"""

import random

INTS = ["0", "1", "2", "3", "7", "(-1)", "10", "255", "9223372036854775807", "(-9223372036854775807)", "4294967296", "1000000"]
FLOATS = ["0.0", "1.0", "1.5", "-2.25", "1.0e3", "0.1", "1.0e100", ".5", "3.0e-2", "123456789.125", "1.0e19", "9007199254740993.0"]
TEXTS = ["", "a", "b", "abc", "foo", "a b", "1", "1.2.3", "x-1.0", "foo/bar", "/a/b", "Ä", "\\n", "\\t", "\\\"", "\\\\", "$", "\\${a}", "a.b", "null", "1.10pre", "z", "  ", "a,b,c", "aXbXc"]
NAMES = ["a", "b", "c", "x", "y", "foo", "bar", "a-b", "a'", "_", "type", "name", "value", "outPath2"]
PATTERNS = ["a", "a*", "(a)(b)?", "[a-c]+", "([^,]*),?(.*)", ".", "x|ab", "^a$", "[[:space:]]+", "(a|b)*c", "[0-9]+\\\\.[0-9]*", "", "()", "a{2,3}", "(", "[z-a]"]
LETTERS = '[ "a" "x" ]'
PATHS = ["/a", "/a/b", "/foo/bar.nix", "/.", "/a/../b"]

TYPES = ["int", "float", "string", "bool", "null", "list", "attrs", "function", "path"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.fresh = 0

    def pick(self, items):
        return self.random.choice(items)

    def chance(self, probability):
        return self.random.random() < probability

    def name(self):
        self.fresh += 1
        return f"v{self.fresh}"

    def expression(self, depth=None):
        self.fresh = 0
        depth = depth if depth is not None else self.random.randint(1, 5)
        return self.of(self.pick(TYPES), depth, [])

    def of(self, kind, depth, scope):
        """An expression of a type, sometimes of another; `scope` has (name, type) of variables."""
        if kind == "any" or self.chance(0.03):
            kind = self.pick(TYPES)
        if scope and self.chance(0.25):
            fitting = [name for name, of in scope if of == kind]
            if fitting:
                return self.pick(fitting)
        if depth <= 0:
            return self.leaf(kind, scope)
        if self.chance(0.35):
            return self.general(kind, depth - 1, scope)
        return getattr(self, kind)(depth - 1, scope)

    def leaf(self, kind, scope):
        match kind:
            case "int":
                return self.pick(INTS)
            case "float":
                return self.pick(FLOATS)
            case "string":
                return self.pick([f'"{text}"' for text in TEXTS] + [f"''{text}''" for text in ["", "a", " b ", "x''$y", "''\\n", "'''"]])
            case "bool":
                return self.pick(["true", "false"])
            case "null":
                return "null"
            case "list":
                return self.pick(["[ ]", "[ 1 2 3 ]", '[ "a" "b" ]', "[ 3 1 2 ]", "[ [ ] ]", "[ 1 1.0 ]", '[ { name = "a"; value = 1; } ]', "[ null true ]"])
            case "attrs":
                return self.pick(["{ }", "{ a = 1; }", "{ a = 1; b = 2; }", '{ x = "y"; }', "{ a.b.c = 1; }", '{ "a b" = 1; }', '{ __toString = self: "s"; }', "{ __functor = self: x: x; }", '{ outPath = "/x"; }'])
            case "function":
                return self.pick(["(x: x)", "(x: y: x)", "({ a, b ? 2, ... }: a)", "(x: x + 1)", "builtins.isInt", "toString", "(_: true)", "(a: b: a < b)", "builtins.add", "({ a ? 1 }@args: args)", "(x: [ x x ])", "builtins.length"])
            case "path":
                return self.pick(PATHS)

    def general(self, kind, depth, scope):
        """What can be of any type."""
        of = lambda kind: self.of(kind, depth, scope)
        choice = self.random.randint(0, 13)
        match choice:
            case 0:
                return f"(if {of('bool')} then {of(kind)} else {of(kind)})"
            case 1:
                name, of_name = self.name(), self.pick(TYPES)
                return f"(let {name} = {of(of_name)}; in {self.of(kind, depth, scope + [(name, of_name)])})"
            case 2:
                name, of_name = self.name(), self.pick(TYPES)
                return f"(({name}: {self.of(kind, depth, scope + [(name, of_name)])}) {of(of_name)})"
            case 3:
                name, other = self.name(), self.pick(TYPES)
                inner = scope + [(name, other)]
                default = f" ? {of(other)}" if self.chance(0.5) else ""
                rest = self.pick(["", ", ..."])
                extra = f" {self.pick(NAMES[:6])} = {of('any')};" if self.chance(0.2) else ""
                given = f"{name} = {of(other)};" if self.chance(0.8) else ""
                whole = self.pick(["", "@args", ""])
                return f"(({{ {name}{default}{rest} }}{whole}: {self.of(kind, depth, inner)}) {{ {given}{extra} }})"
            case 4:
                name = self.pick(NAMES[:6])
                return f"(with {{ {name} = {of(kind)}; }}; {self.pick([name, of(kind)])})"
            case 5:
                return f"(assert {of('bool')}; {of(kind)})"
            case 6:
                name = self.pick(NAMES[:6])
                return f"({{ {name} = {of(kind)}; }}.{name})"
            case 7:
                path = ".".join(self.pick(NAMES[:6]) for _ in range(self.random.randint(1, 2)))
                return f"({of('attrs')}.{path} or {of(kind)})"
            case 8:
                return f"(builtins.elemAt [ {of('any')} {of(kind)} ] {self.pick(['0', '1', '1', '2'])})"
            case 9:
                return f"(builtins.head [ {of(kind)} {of('any')} ])"
            case 10:
                return f"(builtins.seq {of('any')} {of(kind)})"
            case 11:
                return f"(builtins.tryEval {of(kind)}).{self.pick(['value', 'value', 'success'])}"
            case 12:
                name = self.pick(NAMES[:6])
                return f"(rec {{ {name} = {of(kind)}; r = {name}; }}.r)"
            case 13:
                message = self.pick(["oops", "no"])
                return self.pick([f'(throw "{message}")', f'(builtins.addErrorContext "{message}" {of(kind)})', f"(builtins.foldl' (a: b: b) null [ {of(kind)} ])", f"(builtins.deepSeq {of('any')} {of(kind)})"])

    def int(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        return self.pick([
            lambda: f"({of('int')} {self.pick(['+', '-', '*', '/'])} {of('int')})",
            lambda: f"(-{of('int')})",
            lambda: f"(builtins.length {of('list')})",
            lambda: f"(builtins.stringLength {of('string')})",
            lambda: f"(builtins.{self.pick(['bitAnd', 'bitOr', 'bitXor', 'add', 'sub', 'mul', 'div'])} {of('int')} {of('int')})",
            lambda: f"(builtins.{self.pick(['floor', 'ceil'])} {of('float')})",
            lambda: f"(builtins.compareVersions {of('string')} {of('string')})",
            lambda: f"(builtins.foldl' (a: b: a + b) {of('int')} {of('list')})",
            lambda: f"(builtins.fromJSON (builtins.toJSON {of('int')}))",
            lambda: f"(builtins.length (builtins.attrNames {of('attrs')}))",
            lambda: f"(builtins.fromJSON {of('string')})",
        ])()

    def float(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        return self.pick([
            lambda: f"({of('float')} {self.pick(['+', '-', '*', '/'])} {of(self.pick(['float', 'int']))})",
            lambda: f"({of('int')} {self.pick(['+', '-', '*', '/'])} {of('float')})",
            lambda: f"(-{of('float')})",
            lambda: f"(builtins.fromJSON (builtins.toJSON {of('float')}))",
        ])()

    def string(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        return self.pick([
            lambda: f"({of('string')} + {of(self.pick(['string', 'string', 'path']))})",
            lambda: f'"{self.pick(["", "x", "a-"])}${{{of("string")}}}{self.pick(["", "y"])}"',
            lambda: f"''{self.pick(['', ' a '])}${{{of('string')}}}''",
            lambda: f"(toString {of('any')})",
            lambda: f"(builtins.substring {of('int')} {of('int')} {of('string')})",
            lambda: f"(builtins.concatStringsSep {of('string')} {of('list')})",
            lambda: f"(builtins.replaceStrings {of('list')} {of('list')} {of('string')})",
            lambda: f'(builtins.replaceStrings [ {of("string")} "b" ] [ "x" {of("string")} ] {of("string")})',
            lambda: f"(builtins.toJSON {of('any')})",
            lambda: f"(builtins.toXML {of('any')})",
            lambda: f"(builtins.typeOf {of('any')})",
            lambda: f"(baseNameOf {of(self.pick(['string', 'path']))})",
            lambda: f"(dirOf {of('string')})",
            lambda: f'(builtins.hashString "{self.pick(["sha256", "md5", "sha1", "sha512", "sha3"])}" {of("string")})',
            lambda: f"(builtins.unsafeDiscardStringContext {of('string')})",
            lambda: f'(builtins.concatStringsSep "," (builtins.attrNames {of("attrs")}))',
            lambda: f'(builtins.concatStringsSep "," (map toString {of("list")}))',
            lambda: f"(builtins.parseDrvName {of('string')}).{self.pick(['name', 'version'])}",
            lambda: f"(builtins.elemAt (builtins.splitVersion {of('string')}) 0)",
        ])()

    def bool(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        return self.pick([
            lambda: f"({of('bool')} {self.pick(['&&', '||', '->', '==', '!='])} {of('bool')})",
            lambda: f"(!{of('bool')})",
            lambda: self.compare(depth, scope),
            lambda: f"({of('any')} {self.pick(['==', '!='])} {of('any')})",
            lambda: self.same(depth, scope),
            lambda: f"(builtins.is{self.pick(['Int', 'Float', 'String', 'Bool', 'Null', 'List', 'Attrs', 'Function', 'Path'])} {of('any')})",
            lambda: f"({of('attrs')} ? {self.pick(NAMES[:8])})",
            lambda: f"({of('attrs')} ? {self.pick(NAMES[:5])}.{self.pick(NAMES[:5])})",
            lambda: f'(builtins.hasAttr {of("string")} {of("attrs")})',
            lambda: f"(builtins.elem {of('any')} {of('list')})",
            lambda: f"(builtins.{self.pick(['all', 'any'])} {of('function')} {of('list')})",
            lambda: f"(builtins.lessThan {of('int')} {of('float')})",
        ])()

    def compare(self, depth, scope):
        kind = self.pick(["int", "float", "string", "list", "path", "any"])
        return f"({self.of(kind, depth, scope)} {self.pick(['<', '<=', '>', '>='])} {self.of(kind, depth, scope)})"

    def same(self, depth, scope):
        kind = self.pick(TYPES)
        return f"({self.of(kind, depth, scope)} {self.pick(['==', '!='])} {self.of(kind, depth, scope)})"

    def null(self, depth, scope):
        return self.pick(["null", f"(builtins.match {self.pattern()} {self.of('string', depth, scope)})"])

    def pattern(self):
        return f'"{self.pick(PATTERNS)}"'

    def list(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        return self.pick([
            lambda: f"[ {' '.join(of('any') for _ in range(self.random.randint(0, 4)))} ]",
            lambda: (lambda kind: f"[ {' '.join(of(kind) for _ in range(self.random.randint(1, 4)))} ]")(self.pick(TYPES)),
            lambda: f"({of('list')} ++ {of('list')})",
            lambda: f"(map {of('function')} {of('list')})",
            lambda: self.lambda_over("map", depth, scope),
            lambda: self.lambda_over("builtins.concatMap", depth, scope, "list"),
            lambda: self.lambda_over("builtins.filter", depth, scope, "bool"),
            lambda: f"(builtins.genList {of('function')} {self.pick(['0', '1', '3', '5', '(-1)'])})",
            lambda: f"(builtins.sort (a: b: {self.pick(['a < b', 'b < a', 'false', 'true', of('bool')])}) {of('list')})",
            lambda: f"(builtins.sort builtins.lessThan {of('list')})",
            lambda: f"(builtins.concatLists [ {of('list')} {of('list')} ])",
            lambda: f"(builtins.attrNames {of('attrs')})",
            lambda: f"(builtins.attrValues {of('attrs')})",
            lambda: f"(builtins.tail {of('list')})",
            lambda: f"(builtins.split {self.pattern()} {of('string')})",
            lambda: f"(builtins.match {self.pattern()} {of('string')})",
            lambda: f"(builtins.splitVersion {of('string')})",
            lambda: f'(builtins.catAttrs {of("string")} [ {of("attrs")} {of("attrs")} ])',
            lambda: f"(builtins.partition (x: {of('bool')}) {of('list')}).{self.pick(['right', 'wrong'])}",
            lambda: f"(builtins.genericClosure {{ startSet = [ {{ key = {of('int')}; }} ]; operator = x: {self.pick(['[ ]', 'if x.key < 5 && x.key > 0 then [ { key = x.key + 1; } ] else [ ]', '[ x ]'])}; }})",
            lambda: f"(builtins.fromJSON (builtins.toJSON {of('list')}))",
        ])()

    def lambda_over(self, builtin, depth, scope, result="any"):
        name, kind = self.name(), self.pick(TYPES)
        items = " ".join(self.of(kind, depth - 1, scope) for _ in range(self.random.randint(0, 3)))
        return f"({builtin} ({name}: {self.of(result, depth - 1, scope + [(name, kind)])}) [ {items} ])"

    def attribute(self, depth, scope):
        name = self.pick(NAMES)
        text = self.pick([name, name, f'"{name}"', f"{name}.{self.pick(NAMES[:4])}", f"${{{self.of('string', depth - 1, scope)}}}"])
        return f"{text} = {self.of('any', depth - 1, scope)};"

    def attrs(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        return self.pick([
            lambda: f"{{ {' '.join(self.attribute(depth, scope) for _ in range(self.random.randint(0, 4)))} }}",
            lambda: f"(rec {{ {' '.join(self.attribute(depth, scope) for _ in range(self.random.randint(0, 3)))} }})",
            lambda: f"(let inherit ({of('attrs')}) {self.pick(NAMES[:6])}; in {{ inherit {self.pick(NAMES[:6])}; }})" if self.chance(0.3) else f"{{ inherit ({of('attrs')}) {self.pick(NAMES[:4])}; }}",
            lambda: f"({of('attrs')} // {of('attrs')})",
            lambda: f"(builtins.mapAttrs (n: v: {self.of('any', depth, scope + [('n', 'string')])}) {of('attrs')})",
            lambda: f"(builtins.removeAttrs {of('attrs')} {self.pick([LETTERS, of('list')])})",
            lambda: f"(builtins.intersectAttrs {of('attrs')} {of('attrs')})",
            lambda: f'(builtins.listToAttrs [ {{ name = {of("string")}; value = {of("any")}; }} {{ name = {of("string")}; value = {of("any")}; }} ])',
            lambda: f"(builtins.functionArgs {of('function')})",
            lambda: f"(builtins.parseDrvName {of('string')})",
            lambda: f"(builtins.tryEval {of('any')})",
            lambda: f"(builtins.groupBy (x: {of('string')}) {of('list')})",
            lambda: f"(builtins.partition (x: {of('bool')}) {of('list')})",
            lambda: f"(builtins.zipAttrsWith (n: vs: {self.pick(['vs', 'n', 'builtins.length vs', 'builtins.head vs'])}) [ {of('attrs')} {of('attrs')} ])",
            lambda: f"(builtins.fromJSON (builtins.toJSON {of('attrs')}))",
            lambda: f"(builtins.fromTOML {self.toml()})",
        ])()

    def toml(self):
        lines = self.random.sample(["a = 1", "b = \\\"x\\\"", "c = [ 1, 2 ]", "d.e = 1.5", "[t]", "f = true", "[[u]]", "g = { h = 1 }", "i = 0x1f", "j = 1e3", "a = 2", "k = 'l'"], self.random.randint(0, 4))
        return '"' + "\\n".join(lines) + '"'

    def function(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        name, kind = self.name(), self.pick(TYPES)
        return self.pick([
            lambda: f"({name}: {self.of('any', depth, scope + [(name, kind)])})",
            lambda: f"({{ {self.pick(NAMES[:4])} ? {of('any')}, ... }}: {of('any')})",
            lambda: f"(builtins.{self.pick(['add', 'lessThan', 'elem', 'hasAttr', 'bitAnd', 'seq', 'map', 'getAttr'])} {of('any')})",
            lambda: f"{{ __functor = self: {name}: {self.of('any', depth, scope + [(name, kind)])}; }}",
        ])()

    def path(self, depth, scope):
        of = lambda kind: self.of(kind, depth, scope)
        return self.pick([
            lambda: f"({of('path')} + {of('string')})",
            lambda: f"(dirOf {of('path')})",
            lambda: self.pick(PATHS),
        ])()
