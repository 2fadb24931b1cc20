//! The grammar: tokens → tree. One function per rule of Java's grammar, with its name.

use super::SqlError;
use super::token::{Found, Sign, Token, Tokens, Word};
use super::tree::{Constant, How, Node, Op};

/// Parentheses, signs and chained comparisons within each other. Evaluation goes as deep.
const DEPTH_MAX: usize = 100;

/// Different properties in one expression; each is looked for among those of every message.
const NAMES_MAX: usize = 1000;

/// Boxed, as the rules call each other as deep as an expression is.
type Failed = Box<SqlError>;
type Parsed = Result<Node, Failed>;

/// The tree, and the names of the properties that its nodes know by number. Java: `SelectorParser.JmsSelector`.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Box<str>>), SqlError> {
    let mut parser = Parser { tokens: Tokens::of(text), next: None, names: Vec::new(), depth: 0 };
    // Whatever follows is not read.
    let root = parser.or_expression().map_err(|err| *err)?.condition()?;
    Ok((root, parser.names))
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    /// The token that was looked at and not taken.
    next: Option<Found<'a>>,
    names: Vec<Box<str>>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or_expression(&mut self) -> Parsed {
        self.chain(Word::Or, Self::and_expression, Node::Any)
    }

    fn and_expression(&mut self) -> Parsed {
        self.chain(Word::And, Self::equality_expression, Node::All)
    }

    /// However long, it is one node: evaluation gets no deeper with its length.
    fn chain(&mut self, word: Word, operand: fn(&mut Self) -> Parsed, join: fn(Vec<Node>) -> Node) -> Parsed {
        let first = operand(self)?;
        if !self.takes(Token::Word(word))? {
            return Ok(first);
        }
        let second = operand(self)?;
        let mut nodes = vec![first.condition()?, second.condition()?];
        while self.takes(Token::Word(word))? {
            nodes.push(operand(self)?.condition()?);
        }
        Ok(join(nodes))
    }

    fn equality_expression(&mut self) -> Parsed {
        let mut left = self.comparison_expression()?;
        let depth = self.depth;
        loop {
            left = if self.takes(Token::Sign(Sign::Equal))? {
                left.equal(self.comparison_expression()?)?
            } else if self.takes(Token::Sign(Sign::NotEqual))? {
                left.equal(self.comparison_expression()?)?.negated()
            } else if self.takes(Token::Word(Word::Is))? {
                let not = self.takes(Token::Word(Word::Not))?;
                self.expect(Token::Word(Word::Null))?;
                if not { left.missing().negated() } else { left.missing() }
            } else {
                self.depth = depth;
                return Ok(left);
            };
            self.deeper()?;
        }
    }

    fn comparison_expression(&mut self) -> Parsed {
        let mut left = self.unary_expr()?;
        let depth = self.depth;
        loop {
            let found = self.peek()?;
            left = if let Some(op) = ordering(found.token) {
                self.take();
                left.compare(op, self.unary_expr()?)?
            } else {
                let negated = self.takes(Token::Word(Word::Not))?;
                match self.peek()?.token {
                    Token::Word(word @ (Word::Contains | Word::StartsWith | Word::EndsWith)) => {
                        self.take();
                        left.search(how(word), self.string_literal()?, negated)
                    }
                    Token::Word(Word::Between) => {
                        self.take();
                        let low = self.unary_expr()?;
                        self.expect(Token::Word(Word::And))?;
                        left.between(low, self.unary_expr()?, negated)?
                    }
                    Token::Word(Word::In) => {
                        self.take();
                        left.one_of(self.string_literals()?, negated)?
                    }
                    // Java has looked ahead, and still stands before the NOT.
                    _ if negated => return Err(found.unexpected().into()),
                    _ => {
                        self.depth = depth;
                        return Ok(left);
                    }
                }
            };
            self.deeper()?;
        }
    }

    fn unary_expr(&mut self) -> Parsed {
        let depth = self.depth;
        self.deeper()?;
        let found = self.peek()?;
        let node = if self.takes(Token::Sign(Sign::Plus))? {
            // Java has looked ahead, and still stands before the sign.
            self.unary_expr()
                .map_err(|err| if let SqlError::Syntax { .. } = *err { found.unexpected().into() } else { err })?
        } else if self.takes(Token::Sign(Sign::Minus))? {
            Node::Negate(Box::new(self.unary_expr()?))
        } else if self.takes(Token::Word(Word::Not))? {
            self.unary_expr()?.condition()?.negated()
        } else {
            self.primary_expr()?
        };
        self.depth = depth;
        Ok(node)
    }

    fn primary_expr(&mut self) -> Parsed {
        let found = self.peek()?;
        match found.token {
            Token::Word(Word::True) => self.constant(Some(Constant::Bool(true))),
            Token::Word(Word::False) => self.constant(Some(Constant::Bool(false))),
            Token::Word(Word::Null) => self.constant(None),
            Token::Text(_) => Ok(Node::Constant(Some(Constant::Text(self.string_literal()?)))),
            Token::Decimal(digits) => {
                self.take();
                Ok(Node::decimal(digits)?)
            }
            Token::Float(digits) => {
                self.take();
                Ok(Node::float(digits)?)
            }
            Token::Name(name) => {
                self.take();
                self.property(name)
            }
            Token::Sign(Sign::Open) => {
                self.take();
                let inside = self.or_expression()?;
                self.expect(Token::Sign(Sign::Close))?;
                Ok(inside)
            }
            Token::Word(_) | Token::Sign(_) | Token::End => Err(found.unexpected().into()),
        }
    }

    fn constant(&mut self, constant: Option<Constant>) -> Parsed {
        self.take();
        Ok(Node::Constant(constant))
    }

    fn property(&mut self, name: &str) -> Parsed {
        let known = self.names.iter().position(|known| **known == *name);
        let slot = known.unwrap_or(self.names.len());
        if slot >= NAMES_MAX {
            return Err(SqlError::TooManyProperties(NAMES_MAX).into());
        }
        if known.is_none() {
            self.names.push(name.into());
        }
        Ok(Node::Property { slot, name: name.into() })
    }

    fn string_literals(&mut self) -> Result<Vec<Box<str>>, Failed> {
        self.expect(Token::Sign(Sign::Open))?;
        let mut texts = vec![self.string_literal()?];
        while self.takes(Token::Sign(Sign::Comma))? {
            texts.push(self.string_literal()?);
        }
        self.expect(Token::Sign(Sign::Close))?;
        Ok(texts)
    }

    fn string_literal(&mut self) -> Result<Box<str>, Failed> {
        let found = self.peek()?;
        let Token::Text(quoted) = found.token else { return Err(found.unexpected().into()) };
        self.take();
        Ok(quoted[1..quoted.len() - 1].replace("''", "'").into())
    }

    fn peek(&mut self) -> Result<Found<'a>, Failed> {
        match self.next {
            Some(found) => Ok(found),
            None => Ok(*self.next.insert(self.tokens.next()?)),
        }
    }

    /// Goes on behind the token that was looked at.
    fn take(&mut self) {
        self.next = None;
    }

    fn takes(&mut self, token: Token<'_>) -> Result<bool, Failed> {
        let there = self.peek()?.token == token;
        if there {
            self.take();
        }
        Ok(there)
    }

    fn expect(&mut self, token: Token<'_>) -> Result<(), Failed> {
        let found = self.peek()?;
        if self.takes(token)? { Ok(()) } else { Err(found.unexpected().into()) }
    }

    fn deeper(&mut self) -> Result<(), Failed> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(SqlError::TooDeep(DEPTH_MAX).into()) } else { Ok(()) }
    }
}

fn ordering(token: Token<'_>) -> Option<Op> {
    match token {
        Token::Sign(Sign::Greater) => Some(Op::Greater),
        Token::Sign(Sign::GreaterEqual) => Some(Op::GreaterEqual),
        Token::Sign(Sign::Less) => Some(Op::Less),
        Token::Sign(Sign::LessEqual) => Some(Op::LessEqual),
        _ => None,
    }
}

fn how(word: Word) -> How {
    match word {
        Word::StartsWith => How::StartsWith,
        Word::EndsWith => How::EndsWith,
        _ => How::Contains,
    }
}
