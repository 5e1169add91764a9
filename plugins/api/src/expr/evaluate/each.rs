//! Functions with a body for each element.

use super::{Body, Evaluated, Evaluation};
use crate::expr::numbers;
use crate::expr::order::{descending, sorted};
use crate::expr::tree::{Each, Node};
use crate::expr::value::{Failure, List, Value, same_key};
use std::rc::Rc;

impl<'a> Evaluation<'a, '_> {
    pub(super) fn each(&mut self, each: Each, arguments: &'a [Node]) -> Evaluated<'a> {
        let Some((list, rest)) = arguments.split_first() else { return Ok(Value::Nil) };
        let list = match self.value(list)? {
            Value::List(list) => list,
            Value::Text(text) => self.meter.new_list(text.bytes().map(|b| Value::Int(b.into())).collect())?.into(),
            other => return Err(Failure::new(format!("{} is no list", other.kind()))),
        };
        match each {
            Each::Reduce => self.reduce(&list, rest),
            Each::SortBy => self.sort_by(&list, rest),
            Each::GroupBy => self.group_by(&list, rest),
            Each::Map => {
                let items = self.bodies(&list, rest.first())?;
                self.meter.list(items)
            }
            Each::Sum => {
                let items = self.bodies(&list, rest.first())?;
                items.iter().try_fold(Value::Int(0), |sum, item| match (&sum, item) {
                    (Value::Int(_) | Value::Float(_), item) => numbers::add(item, &sum),
                    _ => Err(Failure::new("what is added is no number")),
                })
            }
            Each::FindLast | Each::FindLastIndex => self.find(each, &list, rest, &mut (0..list.items().len()).rev()),
            _ => self.find(each, &list, rest, &mut (0..list.items().len())),
        }
    }

    /// What the body makes of the element at `index`; without a body the element.
    fn body(&mut self, list: &List<'a>, index: usize, body: Option<&'a Node>, sum: Value<'a>) -> Evaluated<'a> {
        self.meter.spend(1)?;
        let element = list.items()[index].clone();
        let Some(body) = body else { return Ok(element) };
        self.bodies.push(Body { element, index, sum });
        let value = self.value(body);
        self.bodies.pop();
        value
    }

    fn bodies(&mut self, list: &List<'a>, body: Option<&'a Node>) -> Result<Vec<Value<'a>>, Failure> {
        (0..list.items().len()).map(|i| self.body(list, i, body, Value::Nil)).collect()
    }

    /// The functions whose body is a condition.
    fn find(
        &mut self,
        each: Each,
        list: &Rc<List<'a>>,
        rest: &'a [Node],
        places: &mut dyn Iterator<Item = usize>,
    ) -> Evaluated<'a> {
        let (mut count, mut kept) = (0, Vec::new());
        for i in places {
            let holds = self.body(list, i, rest.first(), Value::Nil)?.truth()?;
            match each {
                Each::All if !holds => return Ok(Value::Bool(false)),
                Each::None if holds => return Ok(Value::Bool(false)),
                Each::Any if holds => return Ok(Value::Bool(true)),
                Each::Find | Each::FindLast if holds => return Ok(list.items()[i].clone()),
                Each::FindIndex | Each::FindLastIndex if holds => {
                    return Ok(Value::Int(i64::try_from(i).unwrap_or(i64::MAX)));
                }
                Each::Filter if holds => kept.push(list.items()[i].clone()),
                _ => count += i64::from(holds),
            }
        }
        Ok(match each {
            Each::All | Each::None => Value::Bool(true),
            Each::Any => Value::Bool(false),
            Each::One => Value::Bool(count == 1),
            Each::Count => Value::Int(count),
            Each::Filter => self.meter.list(kept)?,
            _ => Value::Nil,
        })
    }

    fn reduce(&mut self, list: &List<'a>, rest: &'a [Node]) -> Evaluated<'a> {
        let (first, mut sum) = match rest.get(1) {
            Some(start) => (0, self.value(start)?),
            None => {
                let first = list.items().first().cloned();
                (1, first.ok_or_else(|| Failure::new("reduce of empty array with no initial value"))?)
            }
        };
        for i in first..list.items().len() {
            sum = self.body(list, i, rest.first(), sum)?;
        }
        Ok(sum)
    }

    fn sort_by(&mut self, list: &List<'a>, rest: &'a [Node]) -> Evaluated<'a> {
        let descending = match rest.get(1) {
            None => false,
            Some(order) => descending(self.value(order)?.text()?)?,
        };
        let keys = self.bodies(list, rest.first())?;
        let sorted = sorted(&self.meter, &keys, list.items(), descending)?;
        self.meter.list(sorted)
    }

    fn group_by(&mut self, list: &List<'a>, rest: &'a [Node]) -> Evaluated<'a> {
        let mut groups: Vec<(Value<'a>, Vec<Value<'a>>)> = Vec::new();
        for (i, key) in self.bodies(list, rest.first())?.into_iter().enumerate() {
            self.meter.spend(groups.len())?;
            if let Value::List(_) | Value::Map(_) | Value::Function(_) = key {
                return Err(Failure::new(format!("{} is no key", key.kind())));
            }
            let item = list.items()[i].clone();
            match groups.iter_mut().find(|group| same_key(&group.0, &key)) {
                Some(group) => group.1.push(item),
                None => groups.push((key, vec![item])),
            }
        }
        let lists: Result<Vec<_>, Failure> =
            groups.into_iter().map(|(key, items)| Ok((key, self.meter.list(items)?))).collect();
        self.meter.map(lists?)
    }
}
