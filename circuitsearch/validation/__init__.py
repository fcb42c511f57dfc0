"""Validation of a circuit on prompts that it was not found on."""

from circuitsearch.validation.behaviour import Behaviour as Behaviour
from circuitsearch.validation.behaviour import behaviour as behaviour
from circuitsearch.validation.curve import size_curve as size_curve
from circuitsearch.validation.generalisation import generalisation as generalisation
from circuitsearch.validation.report import Generalisation as Generalisation
from circuitsearch.validation.report import Interval as Interval
from circuitsearch.validation.report import Report as Report
from circuitsearch.validation.significance import TaskTest as TaskTest
from circuitsearch.validation.validate import validate as validate
