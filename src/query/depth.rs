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
    // Operators since the last comma, for each parenthesis that is open.
    let mut open = vec![0_usize];
    let mut joined = 0;
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => open.push(0),
            Token::RParen | Token::RBracket | Token::RBrace if open.len() > 1 => drop(open.pop()),
            Token::Comma => *open.last_mut().expect("the outermost stays") = 0,
            Token::Word(ref word) => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN => joined += 1,
                Keyword::AND | Keyword::OR | Keyword::XOR | Keyword::NOT | Keyword::IS | Keyword::COLLATE => {
                    *open.last_mut().expect("the outermost stays") += 1;
                }
                _ => {}
            },
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Whitespace(_)
            | Token::Period
            | Token::SemiColon => {}
            _ => *open.last_mut().expect("the outermost stays") += 1,
        }
        let deep = joined + open.iter().sum::<usize>();
        if deep > MOST {
            return Err(QueryError::TooDeep { most: MOST });
        }
    }
    Ok(())
}
