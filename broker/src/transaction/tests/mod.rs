mod asks;
mod crash;
mod ends;
mod fixture;
mod restarts;
