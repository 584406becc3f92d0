//! How deep an expression is: what plans it calls itself for each operator, and a stack has an end.

use super::QueryError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// As many operators may follow one another. All that is planned fits a thread's stack with room to spare.
const MOST: usize = 1000;

/// Refuses a query in which more operators follow one another than can be planned.
pub fn refuse_deep(sql: &str) -> Result<(), QueryError> {
    // What is no SQL is told by who parses it.
    let Ok(tokens) = Tokenizer::new(&GenericDialect, sql).tokenize() else { return Ok(()) };
    // Operators since the last comma: here, and in front of each parenthesis that is open.
    let (mut open, mut here) = (Vec::new(), 0_usize);
    let mut joined = 0;
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => open.push(std::mem::take(&mut here)),
            Token::RParen | Token::RBracket | Token::RBrace => here = open.pop().unwrap_or(here),
            Token::Comma => here = 0,
            Token::Word(ref word) => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN => joined += 1,
                Keyword::AND | Keyword::OR | Keyword::XOR | Keyword::NOT | Keyword::IS | Keyword::COLLATE => {
                    here += 1;
                }
                _ => {}
            },
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Whitespace(_)
            | Token::Period
            | Token::SemiColon => {}
            _ => here += 1,
        }
        let deep = joined + here + open.iter().sum::<usize>();
        if deep > MOST {
            return Err(QueryError::TooDeep { most: MOST });
        }
    }
    Ok(())
}
